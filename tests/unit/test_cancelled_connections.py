"""A connection that is cancelled ends, whatever happens to its link at the same moment."""

from __future__ import annotations

import asyncio

import pytest

from adapters.in_memory.transport import InMemorySequencedTransport, InMemoryTransport
from tests.fakes.agent import FakeAgent
from tests.fakes.clock import settle
from tests.fakes.machine import FakeMachine


@pytest.mark.parametrize("transport", [InMemoryTransport, InMemorySequencedTransport])
@pytest.mark.parametrize("turns", range(4))
async def test_a_link_that_is_lost_while_the_connection_is_cancelled(
    transport: type[InMemoryTransport | InMemorySequencedTransport], turns: int
) -> None:
    links = transport()
    parts = FakeAgent(FakeMachine(), {}, transport=links)
    await parts.book.open()
    connecting = asyncio.create_task(parts.connection.run())
    link = await links.links.get()
    await settle()
    link.lost.set()
    await settle(turns)
    connecting.cancel()
    await settle()
    assert connecting.cancelled()
    assert links.attempts == 1
