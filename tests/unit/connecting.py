"""An agent's connection at work over links of memory, for the tests of what it does."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from adapters.in_memory.transport import InMemoryLink, InMemoryTransport
from application.agent.outbox import Outbox
from domain.commands import CheckHealth, DeployCompose
from tests.fakes.agent import FakeAgent
from tests.fakes.handler import FakeHandler
from tests.fakes.machine import FakeMachine


class Bench:
    """A connection over links of memory, the parts it works with, and the control plane's end."""

    def __init__(self, outbox: Outbox | None = None) -> None:
        self.machine = FakeMachine()
        self.clock = self.machine.clock
        self.transport = InMemoryTransport()
        self.handler = FakeHandler()
        self.parts = FakeAgent(
            self.machine,
            {DeployCompose: self.handler, CheckHealth: self.handler},
            transport=self.transport,
            outbox=outbox,
        )
        self.outbox = self.parts.outbox

    async def link(self) -> InMemoryLink:
        """The next link that the agent makes."""
        link = await self.transport.links.get()
        assert isinstance(link, InMemoryLink)
        return link

    async def lose(self, link: InMemoryLink) -> None:
        """Cut a link, and let the time pass until the agent connects again."""
        link.lost.set()
        await self.clock.advance_to_next()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        async with self.parts.running():
            yield self


def responses(link: InMemoryLink) -> list[dict[str, Any]]:
    """What has arrived at the control plane's end and was not looked at before."""
    found = []
    while not link.to_control_plane.empty():
        found.append(json.loads(link.to_control_plane.get_nowait()))
    return found


def statuses(link: InMemoryLink) -> list[tuple[str, str]]:
    return [(response["job_id"], response["status"]) for response in responses(link)]
