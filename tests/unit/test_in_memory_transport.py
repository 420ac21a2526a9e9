"""The in-memory transport is a transport, and tells tests what became of it."""

from __future__ import annotations

import json

import pytest

from adapters.in_memory.transport import InMemoryLink, InMemoryTransport
from domain.errors import TransportLost, TransportRefused
from tests.contracts.transport import PeerConnectionContract


class QueuePeer:
    """The other end of the latest link."""

    def __init__(self, transport: InMemoryTransport) -> None:
        self._transport = transport
        self._latest: InMemoryLink | None = None

    async def send(self, frame: str | bytes) -> None:
        self._link.to_agent.put_nowait(frame)

    async def receive(self) -> dict[str, object]:
        response: dict[str, object] = json.loads(await self._link.to_control_plane.get())
        return response

    async def cut(self) -> None:
        self._link.lost.set()

    async def withhold(self) -> None:
        self._link.confirms.clear()

    async def resume(self) -> None:
        self._link.confirms.set()

    @property
    def _link(self) -> InMemoryLink:
        while not self._transport.links.empty():
            self._latest = self._transport.links.get_nowait()
        assert self._latest is not None
        return self._latest


class TestInMemoryTransport(PeerConnectionContract):
    @pytest.fixture
    def transport(self) -> InMemoryTransport:
        return InMemoryTransport()

    @pytest.fixture
    def peer(self, transport: InMemoryTransport) -> QueuePeer:
        return QueuePeer(transport)


async def test_the_failures_that_were_queued_up_come_first_and_in_order() -> None:
    transport = InMemoryTransport()
    transport.failures.extend([TransportLost("no route"), TransportRefused("no", advice="ask")])

    with pytest.raises(TransportLost):
        await transport.connect()
    with pytest.raises(TransportRefused):
        await transport.connect()
    link = await transport.connect()

    assert transport.attempts == 3
    assert transport.links.get_nowait() is link
    assert transport.links.empty()


async def test_the_reason_of_the_first_close_is_kept() -> None:
    link = await InMemoryTransport().connect()

    await link.close("the agent is stopping")
    await link.close("another reason")

    assert link.close_reason == "the agent is stopping"


async def test_what_was_sent_before_the_cut_is_still_received() -> None:
    link = await InMemoryTransport().connect()
    link.to_agent.put_nowait('{"id": "last", "type": "HEALTH_CHECK", "payload": {}}')
    link.lost.set()

    message = await link.receive()

    assert str(message.job_id) == "last"
    with pytest.raises(TransportLost):
        await link.receive()
