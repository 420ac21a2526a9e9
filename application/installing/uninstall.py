"""Taking the agent away again: what it runs stays, unless that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from application.installing.changes import DoStep, GiveStep, RemoveStep
from application.installing.settings_file import settings_of
from application.installing.steps import Say, Step, carry_out, plan
from application.ports.machine import Machine
from domain.errors import Busy, Conflict, InvalidInput
from domain.installation import MARK, UNIT, USER, USUAL_ENGINE, Layout
from domain.project import ProjectName


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
        """The steps that are needed. Raises `Conflict` as `uninstall` does."""
        self._check_ours()
        return plan(self._steps(purge=purge, projects=projects))

    def uninstall(self, *, purge: bool, projects: bool, force: bool) -> None:
        """Do it. Raises `Busy` where a deployment is under way, unless `force`; and as `Machine` does.

        Raises `Conflict` where the agent was put there by hand. A step that fails leaves what was
        removed before it removed: run again, it goes on.
        """
        with self._machine.alone():
            self._check_ours()
            if not force:
                self._check_idle()
            carry_out(self._steps(purge=purge, projects=projects), self._say)

    def _check_ours(self) -> None:
        unit = self._machine.look(self._at.unit)
        if unit is not None and MARK.encode() not in (unit.content or b""):
            raise Conflict(
                f"{self._at.unit} was not written by `instadeploy-agent install`, so that what is where "
                "is not known: whoever has put this agent here by hand takes it away by hand"
            )

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
            RemoveStep(machine, at.current),
            RemoveStep(machine, at.releases, "the agent's programs"),
            DoStep(
                f"remove {at.programs}",
                lambda: machine.remove(at.programs),
                # Somebody may have put something of their own there.
                is_needed=lambda: (
                    machine.look(at.programs) is not None and not machine.names_in(at.programs)
                ),
            ),
        ]
        if purge:
            steps += [
                RemoveStep(machine, at.settings, "the settings, the policy and the credentials"),
                RemoveStep(machine, at.state, "who this host is, its jobs and its revisions"),
                # Or the next user that is made would get its number, and with that its files.
                GiveStep(machine, at.projects, USER, "root"),
                DoStep(
                    f"remove the user {USER}",
                    lambda: machine.remove_user(USER),
                    is_needed=lambda: machine.groups_of(USER) is not None,
                ),
            ]
        return steps

    def _projects(self) -> Sequence[Step]:
        """Their containers and networks, then their files; what is in volumes stays."""
        engine = settings_of(self._machine, self._at).get("AGENT_DOCKER_HOST", USUAL_ENGINE)
        steps: list[Step] = []
        for name in self._machine.names_in(self._at.projects):
            try:
                project = ProjectName(name)
            except InvalidInput:
                continue  # Such as lost+found: no project of ours.
            take_down = partial(self._machine.take_down, project.compose_name, engine)
            steps.append(DoStep(f"take down the project {name}; its volumes stay", take_down))
            steps.append(RemoveStep(self._machine, f"{self._at.projects}/{name}"))
        return steps

    def _stop(self) -> None:
        self._machine.disable(UNIT)
        self._machine.stop(UNIT)
