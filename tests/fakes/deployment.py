"""The command handlers on a host in memory, each called as the dispatcher calls it."""

from __future__ import annotations

import itertools
from typing import Any

from application.agent.handling import Deadlines, Outcome
from application.agent.job_book import JobBook
from application.agent.live_output import LiveOutput
from application.agent.steps import JobSteps
from domain.commands import (
    CHANGING_COMMANDS,
    ChangingCommand,
    CheckHealth,
    Command,
    DeployCompose,
    GetStatus,
    StopCompose,
    digest_of,
    is_private,
    project_of,
    without_private,
)
from domain.records import JobAccepted
from tests.fakes.handlers import DEADLINES, Handlers
from tests.fakes.machine import FakeMachine


class FakeDeployment(FakeMachine):
    """A machine, the handlers that work on it, and `do`, which makes jobs of commands."""

    def __init__(self, deadlines: Deadlines = DEADLINES) -> None:
        super().__init__()
        self._deadlines = deadlines
        self.live = LiveOutput()
        self.jobs = super().book()
        self._numbers = itertools.count(1)
        self._is_open = False
        self._agents_started = False
        self.handlers = Handlers(self.parts, self.jobs, deadlines)

    def book(self) -> JobBook:
        """The handlers' own book for the first agent on this host, a new one for each that follows."""
        if self._agents_started:
            return super().book()
        self._agents_started = True
        return self.jobs

    def use(self, **ports: Any) -> None:
        """Have the handlers work with other parts of the machine from now on."""
        for name, port in ports.items():
            assert hasattr(self, name)
            setattr(self, name, port)
        self.handlers = Handlers(self.parts, self.jobs, self._deadlines)

    async def do(self, command: Command, job_id: str | None = None) -> Outcome:
        """Carry a command out; the job's id is new, where none is given."""
        handler = self.handlers.by_command[type(command)]
        outcome: Outcome
        if not isinstance(command, CHANGING_COMMANDS):
            outcome = await handler(command)
            return outcome
        outcome = await handler(command, await self.steps(command, job_id))
        return outcome

    async def deploy(self, command: DeployCompose, job_id: str | None = None) -> Outcome:
        """Carry a deployment out."""
        return await self.do(command, job_id)

    async def stop(self, command: StopCompose, job_id: str | None = None) -> Outcome:
        """Carry a stop out."""
        return await self.do(command, job_id)

    async def status(self, command: GetStatus) -> Outcome:
        """Say how a project is."""
        return await self.do(command)

    async def health(self, command: CheckHealth) -> Outcome:
        """Say how the agent is."""
        return await self.do(command)

    async def steps(
        self, command: ChangingCommand, job_id: str | None = None, deadline: float | None = None
    ) -> JobSteps:
        """The steps of a job that is accepted now, or was before."""
        if not self._is_open:
            self._is_open = True
            await self.jobs.open()
        job_id = job_id or f"job-{next(self._numbers)}"
        project = project_of(command)
        assert project is not None
        await self.jobs.record(
            JobAccepted(
                job_id,
                without_private(command),
                digest_of(command),
                self.clock.since_boot(),
                is_private=is_private(command),
                project=project.compose_name,
                spelling=project.value,
            )
        )
        return JobSteps(job_id, deadline, self.step_tools(self.jobs, self.live))
