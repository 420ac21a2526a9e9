"""The in-memory transport is a transport, and tells tests what became of it."""

from __future__ import annotations

import json

import pytest

from adapters.in_memory.transport import (
    InMemoryLink,
    InMemorySequencedLink,
    InMemorySequencedTransport,
    InMemoryTransport,
)
from adapters.wire.codec_v2 import encode_heard
from domain.errors import TransportLost, TransportRefused
from domain.link_messages import Ending, GoAway
from tests.contracts.sequenced_link import ACCEPT, SequencedLinkContract
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


class SequencedQueuePeer:
    """The other end of the latest link of protocol v2."""

    def __init__(self, transport: InMemorySequencedTransport) -> None:
        self._transport = transport
        self._latest: InMemorySequencedLink | None = None

    async def send(self, frame: str | bytes) -> None:
        self._link.to_agent.put_nowait(frame)

    async def receive(self) -> dict[str, object]:
        message: dict[str, object] = json.loads(await self._link.to_control_plane.get())
        return message

    async def cut(self) -> None:
        self._link.lost.set()

    async def withhold(self) -> None:
        self._link.takes.clear()

    async def resume(self) -> None:
        self._link.takes.set()

    @property
    def _link(self) -> InMemorySequencedLink:
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


class TestInMemorySequencedTransport(SequencedLinkContract):
    @pytest.fixture
    def transport(self) -> InMemorySequencedTransport:
        return InMemorySequencedTransport()

    @pytest.fixture
    def peer(self, transport: InMemorySequencedTransport) -> SequencedQueuePeer:
        return SequencedQueuePeer(transport)


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


async def test_a_link_of_v2_tells_how_the_agent_closed_it_first() -> None:
    link = await InMemorySequencedTransport().connect()

    await link.close(Ending.VIOLATION, "no WELCOME came")
    await link.close(Ending.GOING_AWAY, "another reason")

    assert (link.ending, link.close_reason) == (Ending.VIOLATION, "no WELCOME came")


async def test_a_test_can_end_a_link_of_v2_with_a_refusal_after_what_it_sent() -> None:
    link = await InMemorySequencedTransport().connect()
    link.to_agent.put_nowait(encode_heard(GoAway(0, "you were revoked")))
    link.end = TransportRefused("revoked", advice="ask")
    link.lost.set()

    assert await link.hear() == GoAway(0, "you were revoked")
    with pytest.raises(TransportRefused):
        await link.hear()
    with pytest.raises(TransportRefused):
        await link.say(ACCEPT)
