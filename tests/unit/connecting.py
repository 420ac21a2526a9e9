"""An agent's connection at work over links of memory, for the tests of what it does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from adapters.in_memory.transport import InMemoryLink, InMemoryTransport
from application.agent.connection import Connection
from application.agent.dispatch import Dispatcher, DispatchLimits
from application.agent.outbox import Outbox
from domain.backoff import reconnect_delays
from domain.commands import CheckHealth, DeployCompose
from tests.fakes.clock import FakeClock
from tests.fakes.handler import FakeHandler


class Bench:
    """A connection over links of memory, the parts it works with, and the control plane's end."""

    def __init__(self, outbox: Outbox | None = None) -> None:
        self.clock = FakeClock()
        self.transport = InMemoryTransport()
        self.handler = FakeHandler()
        self.outbox = Outbox() if outbox is None else outbox
        self.dispatcher = Dispatcher(
            handlers={DeployCompose: self.handler, CheckHealth: self.handler},
            emit=self.outbox.put,
            limits=DispatchLimits(),
        )
        self.connection = Connection(
            transport=self.transport,
            dispatcher=self.dispatcher,
            outbox=self.outbox,
            clock=self.clock,
            delays=reconnect_delays,
        )

    async def link(self) -> InMemoryLink:
        """The next link that the agent makes."""
        return await self.transport.links.get()

    async def lose(self, link: InMemoryLink) -> None:
        """Cut a link, and let the time pass until the agent connects again."""
        link.lost.set()
        await self.clock.advance_to_next()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        parts = [
            asyncio.create_task(self.dispatcher.run()),
            asyncio.create_task(self.connection.run()),
        ]
        try:
            yield self
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)


def responses(link: InMemoryLink) -> list[dict[str, Any]]:
    """What has arrived at the control plane's end and was not looked at before."""
    found = []
    while not link.to_control_plane.empty():
        found.append(json.loads(link.to_control_plane.get_nowait()))
    return found


def statuses(link: InMemoryLink) -> list[tuple[str, str]]:
    return [(response["job_id"], response["status"]) for response in responses(link)]
