"""A dispatcher at work, for the tests of what it does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from application.agent.dispatch import Dispatcher, DispatchLimits
from domain.commands import CheckHealth, Command, DeployCompose, GetStatus, StopCompose
from domain.events import Event, JobFailed, JobReceived
from tests.builders import request
from tests.fakes.clock import settle
from tests.fakes.handler import FakeHandler


class Bench:
    """A dispatcher that runs, one handler for all commands, and what was emitted."""

    def __init__(self, limits: DispatchLimits | None = None) -> None:
        self.events: list[Event] = []
        self.handler = FakeHandler()
        self.dispatcher = Dispatcher(
            handlers=dict.fromkeys(
                (DeployCompose, StopCompose, GetStatus, CheckHealth), self.handler
            ),
            emit=self.events.append,
            limits=limits or DispatchLimits(),
        )

    def submit(self, job_id: str, command: Command | None = None) -> None:
        self.dispatcher.submit(request(job_id, command))

    def of(self, job_id: str) -> list[Event]:
        """The events of one job."""
        return [event for event in self.events if event.job_id == job_id]

    def failure(self, job_id: str) -> JobFailed:
        """The one failure of a job, which it was told after it was received."""
        received, failed = self.of(job_id)
        assert received == JobReceived(job_id)
        assert isinstance(failed, JobFailed)
        return failed

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        dispatching = asyncio.create_task(self.dispatcher.run())
        await settle(2)
        try:
            yield self
            assert not dispatching.done(), "the dispatcher has died"
        finally:
            dispatching.cancel()
            await asyncio.gather(dispatching, return_exceptions=True)
