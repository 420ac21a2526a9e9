"""The agent behind its socket: everything that serves a link, with whatever handlers a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from adapters.clock.system import SystemClock
from application.agent.connection import Connection
from application.agent.dispatch import Dispatcher, DispatchLimits
from application.agent.handling import Completed, Handler, Outcome
from application.agent.outbox import Outbox
from application.ports.clock import Clock
from application.ports.transport import Transport
from domain.backoff import reconnect_delays
from domain.commands import CheckHealth


async def healthy(_: CheckHealth, /) -> Outcome:
    """Answers at once."""
    return Completed("well")


class HurriedClock(SystemClock):
    """Real time, but nobody waits: `waits` has what each sleep would have been, in seconds."""

    def __init__(self) -> None:
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
    handlers: Mapping[type[Any], Handler[Any]],
    *,
    clock: Clock | None = None,
    limits: DispatchLimits | None = None,
    outbox: Outbox | None = None,
) -> AsyncIterator[None]:
    """An agent that connects, serves, and connects again, until the context is left."""
    outbox = Outbox() if outbox is None else outbox
    dispatcher = Dispatcher(handlers=handlers, emit=outbox.put, limits=limits or DispatchLimits())
    connection = Connection(
        transport=transport,
        dispatcher=dispatcher,
        outbox=outbox,
        clock=clock or HurriedClock(),
        delays=reconnect_delays,
    )
    parts = [
        asyncio.create_task(dispatcher.run(), name="dispatcher"),
        asyncio.create_task(connection.run(), name="connection"),
    ]
    try:
        yield
    finally:
        for part in parts:
            part.cancel()
        ended = await asyncio.gather(*parts, return_exceptions=True)
    broken = [end for end in ended if isinstance(end, Exception)]
    if broken:
        raise ExceptionGroup("the agent broke", broken)
