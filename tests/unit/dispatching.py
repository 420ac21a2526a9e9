"""Admission and dispatch at work, for the tests of what they do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from application.agent.admission import Admission
from application.agent.dispatch import Dispatcher
from application.agent.outbox import Outbox
from application.agent.room import DispatchLimits
from domain.commands import COMMAND_NAMES, Command
from domain.errors import InstaDeployError
from domain.events import Event, FinalEvent, JobFailed, JobReceived
from domain.link_messages import CancelMessage, CommandMessage, SequencedHeard
from domain.messages import Message
from tests.builders import request
from tests.fakes.clock import settle
from tests.fakes.handler import FakeHandler
from tests.fakes.machine import FakeMachine


class _RecordingOutbox(Outbox):
    """Keeps what is put into it, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def put_result(self, event: FinalEvent) -> None:
        self.events.append(event)


class Bench:
    """One handler for all commands, and what was said. Give it a machine to outlive another bench."""

    def __init__(
        self, limits: DispatchLimits | None = None, machine: FakeMachine | None = None
    ) -> None:
        self.machine = FakeMachine() if machine is None else machine
        self.handler = FakeHandler()
        self.outbox = _RecordingOutbox()
        self.book = self.machine.book()
        self.dispatcher = Dispatcher(
            handlers=dict.fromkeys(COMMAND_NAMES, self.handler),
            book=self.book,
            tools=self.machine.step_tools(self.book),
            results=self.outbox,
            clock=self.machine.clock,
            limits=limits or DispatchLimits(),
        )
        self.admission = Admission(
            book=self.book,
            dispatcher=self.dispatcher,
            outbox=self.outbox,
            clock=self.machine.clock,
            private=self.machine.private,
            policy=self.machine.policy,
        )

    @property
    def events(self) -> list[Event]:
        return self.outbox.events

    def submit(self, job_id: str, command: Command | None = None) -> None:
        self.take(request(job_id, command))

    def take(self, message: Message) -> None:
        self.admission.submit(message)

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
        await self.book.open()
        parts = [
            asyncio.create_task(part.run(asyncio.Event()))
            for part in (self.dispatcher, self.admission)
        ]
        await settle(2)
        try:
            yield self
            assert not any(part.done() for part in parts), "a part has died"
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)


class Peer:
    """A control plane of v2: its messages come to whichever agent is there, in order."""

    def __init__(self) -> None:
        self._seq = 0

    def command(
        self,
        bench: Bench,
        job_id: str,
        command: Command | InstaDeployError,
        *,
        generation: int | None = None,
        deadline_s: float | None = None,
    ) -> None:
        self._deliver(
            bench, CommandMessage(self._next_seq(), job_id, command, generation, deadline_s)
        )

    def cancel(self, bench: Bench, job_id: str) -> None:
        self._deliver(bench, CancelMessage(self._next_seq(), job_id))

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _deliver(self, bench: Bench, message: SequencedHeard) -> None:
        """As a session does."""
        bench.admission.arriving.add(message.seq)
        bench.admission.deliver(message)
