"""The command handlers on a host in memory, each called as the dispatcher calls it."""

from __future__ import annotations

import itertools

from application.agent.check_health import CheckHealthHandler
from application.agent.deploy_compose import DeployComposeHandler
from application.agent.get_status import GetStatusHandler
from application.agent.handling import Deadlines, Outcome
from application.agent.job_book import JobBook
from application.agent.steps import JobSteps
from application.agent.stop_compose import StopComposeHandler
from domain.commands import Command, DeployCompose, StopCompose, digest_of
from domain.records import JobAccepted
from tests.fakes.machine import FakeMachine

DEADLINES = Deadlines(check_s=60, deploy_s=1800, stop_s=300, status_s=30, health_s=5)


class FakeDeployment(FakeMachine):
    """A machine, the handlers that work on it, and `deploy` and `stop` as jobs of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = super().book()
        self._numbers = itertools.count(1)
        self._is_open = False
        self._agents_started = False
        self.deploy_handler = DeployComposeHandler(
            files=self.files,
            reader=self.reader,
            runtime=self.runtime,
            engine=self.engine,
            deadlines=DEADLINES,
        )
        self.stop_handler = StopComposeHandler(
            files=self.files, runtime=self.runtime, deadlines=DEADLINES
        )
        self.status = GetStatusHandler(
            files=self.files, runtime=self.runtime, clock=self.clock, deadlines=DEADLINES
        )
        self.health = CheckHealthHandler(
            host=self.host,
            engine=self.engine,
            runtime=self.runtime,
            book=self.jobs,
            clock=self.clock,
            deadlines=DEADLINES,
        )

    def book(self) -> JobBook:
        """The handlers' own book for the first agent on this host, a new one for each that follows."""
        if self._agents_started:
            return super().book()
        self._agents_started = True
        return self.jobs

    async def deploy(self, command: DeployCompose, job_id: str | None = None) -> Outcome:
        """Carry a deployment out; the job's id is new, where none is given."""
        return await self.deploy_handler(command, await self.steps(command, job_id))

    async def stop(self, command: StopCompose, job_id: str | None = None) -> Outcome:
        """Carry a stop out."""
        return await self.stop_handler(command, await self.steps(command, job_id))

    async def steps(self, command: Command, job_id: str | None = None) -> JobSteps:
        """The steps of a job that is accepted now, or was before."""
        if not self._is_open:
            self._is_open = True
            await self.jobs.open()
        job_id = job_id or f"job-{next(self._numbers)}"
        await self.jobs.record(
            JobAccepted(job_id, command, digest_of(command), self.clock.since_boot())
        )
        return JobSteps(job_id, None, self.step_tools(self.jobs))
