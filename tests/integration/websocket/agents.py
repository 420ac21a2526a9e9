"""The agent behind its socket: everything that serves a link, with whatever handlers a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from adapters.clock.system import SystemClock
from application.agent.handling import Completed, Handler, JobHandler, Outcome
from application.agent.outbox import Outbox
from application.agent.room import DispatchLimits
from application.ports.clock import Clock
from application.ports.transport import Transport
from domain.commands import CheckHealth
from tests.fakes.agent import FakeAgent
from tests.fakes.machine import FakeMachine


async def healthy(_: CheckHealth, /) -> Outcome:
    """Answers at once."""
    return Completed("well")


class HurriedClock(SystemClock):
    """Real time, but nobody waits: `waits` has what each sleep would have been, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: asyncio.Queue[float] = asyncio.Queue()
        self._skipped = 0.0

    def monotonic(self) -> float:
        """See `Clock`; counts what was not waited for."""
        return super().monotonic() + self._skipped

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        if seconds > 0:
            self.waits.put_nowait(seconds)
            self._skipped += seconds
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running_agent(
    transport: Transport,
    handlers: Mapping[type[Any], Handler[Any] | JobHandler[Any]],
    *,
    clock: Clock | None = None,
    limits: DispatchLimits | None = None,
    outbox: Outbox | None = None,
    machine: FakeMachine | None = None,
) -> AsyncIterator[FakeAgent]:
    """An agent that connects, serves, and connects again, until the context is left."""
    agent = FakeAgent(
        machine or FakeMachine(),
        handlers,
        transport=transport,
        clock=clock or HurriedClock(),
        limits=limits,
        outbox=outbox,
    )
    async with agent.running():
        yield agent
