"""What is wanted of the agent: commands, some of them twice, whether it can be told or not."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from random import Random
from typing import Any, Final

from domain.commands import (
    CHANGING_COMMANDS,
    CheckHealth,
    Command,
    DeployCompose,
    GetStatus,
    RegistryLogin,
    RollbackCompose,
    StopCompose,
)
from domain.deploy_options import DeployOptions
from domain.project import ComposeFile, ProjectName
from tests.simulation.control_plane import ControlPlane
from tests.simulation.engine import Manner, compose_file
from tests.simulation.orders import Submission
from tests.simulation.plan import Plan

MANNERS: Final = {
    Manner.SOUND: 70,
    Manner.BREAKS: 8,
    Manner.EXITS: 8,
    Manner.SICK: 8,
    Manner.INVALID: 6,
}
LOGIN: Final = RegistryLogin("registry.example.com", "somebody", "secret")
ASK_AGAIN_S: Final = 0.5


class Wishes:
    """`made` are those that the control plane has been told; `are_sure` makes them such as it takes."""

    def __init__(
        self, rng: Random, plan: Plan, control_plane: ControlPlane, counts: Counter[str]
    ) -> None:
        self.made: list[Submission] = []
        self.postponed = 0
        """How many wait for a control plane that is down."""
        self.are_sure = False
        self._rng = rng
        self._plan = plan
        self._control_plane = control_plane
        self._counts = counts
        self._ids = itertools.count(1)
        self._loop = asyncio.get_running_loop()

    def one_of(self, number: float) -> Submission | None:
        """The one that a number below 1 means; None before there is any."""
        return self.made[int(number * len(self.made))] if self.made else None

    def submit(self, number: int) -> None:
        """Wish for something; the first two are for two projects, and deploy."""
        rng, plan = self._rng, self._plan
        name = plan.projects[number] if number < 2 else rng.choice(plan.projects)
        project = ProjectName(name)
        kind = rng.choices(
            ("deploy", "stop", "roll back", "status", "health"), (60, 10, 10, 10, 10)
        )[0]
        if number < 2:
            kind = "deploy"
        commands: dict[str, Command] = {
            "deploy": self._deployment(project),
            "stop": StopCompose(project),
            "roll back": RollbackCompose(project),
            "status": GetStatus(project),
            "health": CheckHealth(),
        }
        generation = deadline = None
        if self.are_sure:
            pass
        elif plan.generations and isinstance(commands[kind], CHANGING_COMMANDS):
            known = self._control_plane.database.generations.get(project.compose_name, 0)
            generation = max(1, known + (1 if rng.random() < 0.85 else 0))
        if plan.mode != "v1" and not self.are_sure and rng.random() < 0.12:
            deadline = rng.choice((0.3, 2.0, 8.0))
        self._want(f"job-{next(self._ids)}", commands[kind], generation, deadline)

    def submit_again(self, number: float) -> None:
        """Send one again, or something else under its id."""
        first = self.one_of(number)
        if first is None:
            return
        self._counts["wishes repeated"] += 1
        command = first.command
        is_other = self._plan.mode != "v1" and self._rng.random() < 0.4
        if is_other and isinstance(command, CHANGING_COMMANDS):
            another = ComposeFile(compose_file(Manner.SOUND, 99))
            command = DeployCompose(command.project, another)
        self._want(first.job_id, command, first.generation, first.deadline_s)

    def _deployment(self, project: ProjectName) -> DeployCompose:
        rng = self._rng
        manner = rng.choices(tuple(MANNERS), tuple(MANNERS.values()))[0]
        return DeployCompose(
            project,
            ComposeFile(compose_file(manner, rng.randrange(6))),
            env=b"PASSWORD=secret\n" if rng.random() < 0.2 else None,
            options=DeployOptions(auto_rollback=rng.random() < 0.95),
            registry_auth=(LOGIN,) if rng.random() < 0.1 else (),
        )

    def _want(
        self, job_id: str, command: Command, generation: int | None, deadline_s: float | None
    ) -> None:
        if not self._control_plane.is_up:
            self.postponed += 1
            again = (job_id, command, generation, deadline_s)
            self._loop.call_later(ASK_AGAIN_S, self._want_again, *again)
            return
        wish = Submission(len(self.made) + 1, job_id, command, generation, deadline_s)
        self.made.append(wish)
        self._control_plane.submit(wish)

    def _want_again(self, *wish: Any) -> None:
        self.postponed -= 1
        self._want(*wish)
