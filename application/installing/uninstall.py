"""Taking the agent away again: what it runs stays, unless that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from application.installing.changes import DoStep, RemoveStep
from application.installing.steps import Say, Step, carry_out, plan
from application.ports.machine import Machine
from domain.errors import Busy
from domain.installation import UNIT, USER, Layout


class Uninstaller:
    """Removes programs and unit; with `purge`, settings, state and the user too.

    Projects stay where they are, and their containers run on, unless `projects` are to go too.
    """

    def __init__(
        self,
        machine: Machine,
        say: Say,
        layout: Layout = Layout(),  # noqa: B008 - it is frozen
    ) -> None:
        self._machine = machine
        self._say = say
        self._at = layout

    def plan(self, *, purge: bool, projects: bool) -> list[str]:
        """The steps that are needed."""
        return plan(self._steps(purge=purge, projects=projects))

    def uninstall(self, *, purge: bool, projects: bool, force: bool) -> None:
        """Do it. Raises `Busy` where a deployment is under way, unless `force`; and as `Machine` does.

        A step that fails leaves what was removed before it removed: run again, it goes on.
        """
        if not force:
            self._check_idle()
        steps = self._steps(purge=purge, projects=projects)
        carry_out(steps, self._say, is_taken_back=False)

    def _check_idle(self) -> None:
        """What the agent has begun outlives it; without the agent nobody would hear its end."""
        unit = self._machine.unit(UNIT)
        main = unit.main_pid if unit is not None else 0
        others = [pid for pid in self._machine.left_running(UNIT) if pid != main]
        if others:
            raise Busy(
                f"something is being deployed ({len(others)} processes): wait for its end, or say "
                "--force, and what it has begun goes on without anybody who hears of it"
            )

    def _steps(self, *, purge: bool, projects: bool) -> Sequence[Step]:
        machine, at = self._machine, self._at
        unit = machine.unit(UNIT)
        steps: list[Step] = [
            DoStep(
                f"stop {UNIT}, and start it at no boot any more",
                self._stop,
                is_needed=lambda: unit is not None and (unit.is_enabled or unit.main_pid != 0),
            ),
            *(self._projects() if projects else ()),
            RemoveStep(machine, at.unit),
            DoStep(
                "have systemd read its files again",
                machine.reload_units,
                is_needed=lambda: unit is not None,
            ),
            RemoveStep(machine, at.command),
            RemoveStep(machine, at.tmpfiles),
            RemoveStep(machine, at.programs, "the agent's programs"),
        ]
        if purge:
            steps += [
                RemoveStep(machine, at.settings, "the settings, the policy and the credentials"),
                RemoveStep(machine, at.state, "who this host is, its jobs and its revisions"),
                DoStep(
                    f"remove the user {USER}",
                    lambda: machine.remove_user(USER),
                    is_needed=lambda: machine.groups_of(USER) is not None,
                ),
            ]
        return steps

    def _projects(self) -> Sequence[Step]:
        """Their containers and networks, then their files; what is in volumes stays."""
        steps: list[Step] = []
        for name in self._machine.names_in(self._at.projects):
            directory = f"{self._at.projects}/{name}"
            take_down = partial(self._machine.take_down, name.lower())
            steps.append(DoStep(f"take down the project {name}; its volumes stay", take_down))
            steps.append(RemoveStep(self._machine, directory))
        return steps

    def _stop(self) -> None:
        self._machine.disable(UNIT)
        self._machine.stop(UNIT)
