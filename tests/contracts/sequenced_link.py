"""What every link of protocol v2 does, whatever it is made of.

A subclass gives two fixtures: `transport`, ready to connect, and `peer`, the other end of the link
that the transport makes, which selects protocol v2.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

import pytest

from adapters.wire.codec_v2 import encode_heard
from application.ports.transport import SequencedLink, Transport
from domain.commands import StopCompose
from domain.errors import InvalidInput, TransportLost
from domain.job import JobState
from domain.link_messages import (
    Accept,
    Acknowledge,
    Bye,
    CancelMessage,
    Challenge,
    CommandMessage,
    Ending,
    Heard,
    Heartbeat,
    OutputChunk,
    OutputPosition,
    Result,
    Said,
    Unusable,
    Welcome,
)
from domain.project import ProjectName
from tests.contracts.transport import LOOP_STEPS, ConnectedPeer, let_the_loop_turn, soon

WAITS_S: Final = 0.05
"""Whoever has not said a message by then waits for the peer to take something."""
MORE_THAN_FITS: Final = 200

WELCOME: Final = Welcome("session-1", "epoch-1", 7)
ACCEPT: Final = Accept(1, "job-1", JobState.ACCEPTED)


async def connected(transport: Transport) -> SequencedLink:
    """A link of protocol v2, to a peer that selects it."""
    link = await soon(transport.connect())
    assert link.version == 2
    return link


class SequencedLinkContract:
    """Holds for every link of protocol v2. A peer that withholds takes nothing that is said."""

    @pytest.fixture
    async def link(self, transport: Transport, peer: ConnectedPeer) -> AsyncIterator[SequencedLink]:
        link = await connected(transport)
        yield link
        await soon(link.close(Ending.GOING_AWAY, "the test is over"))

    async def test_messages_are_heard_in_order(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        messages: list[Heard] = [
            Challenge("0123456789abcdef"),
            WELCOME,
            CommandMessage(1, "stop-1", StopCompose(ProjectName("Web")), generation=3),
            CancelMessage(2, "stop-1"),
            Acknowledge(5, {"stop-1": OutputPosition("down", 1, 700)}, prune_below=4),
        ]
        for message in messages:
            await peer.send(encode_heard(message))

        assert [await soon(link.hear()) for _ in messages] == messages

    async def test_what_is_said_reaches_the_peer_in_order_and_with_v2s_fields(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        await soon(link.say(ACCEPT))
        await soon(link.say(OutputChunk("job-1", OutputPosition("up", 1, 0), "zażółć".encode())))

        assert await soon(peer.receive()) == {
            "type": "ACCEPT",
            "seq": 1,
            "job_id": "job-1",
            "state": "accepted",
        }
        assert await soon(peer.receive()) == {
            "type": "RESPONSE",
            "job_id": "job-1",
            "status": "IN_PROGRESS",
            "logs": "zażółć",
            "step": "up",
            "attempt": 1,
            "offset": 0,
            "length": 10,
        }

    async def test_many_messages_are_received_in_order_in_both_directions(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        sending = asyncio.create_task(_send_all(peer, 200))
        heard = [await soon(link.hear()) for _ in range(200)]
        await soon(sending)
        for n in range(200):
            await soon(link.say(Heartbeat(ack=n)))
        received = [await soon(peer.receive()) for _ in range(200)]

        assert heard == [Acknowledge(n) for n in range(200)]
        assert [message["ack"] for message in received] == list(range(200))

    @pytest.mark.parametrize(
        "frame", ["{", "[]", b"\xff", "null", "{}", '{"type": "ACK"}', '{"type": "WELCOME"}']
    )
    async def test_what_cannot_be_used_is_heard_as_such_and_the_link_lives_on(
        self, link: SequencedLink, peer: ConnectedPeer, frame: str | bytes
    ) -> None:
        await peer.send(frame)
        await peer.send(encode_heard(WELCOME))

        assert isinstance(await soon(link.hear()), Unusable)
        assert await soon(link.hear()) == WELCOME

    async def test_a_refused_command_keeps_its_number(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        refused = {"id": "bad", "type": "STATUS", "seq": 9, "payload": {"project_name": ".."}}
        await peer.send(json.dumps(refused))

        message = await soon(link.hear())
        assert isinstance(message, CommandMessage)
        assert (message.seq, message.job_id) == (9, "bad")
        assert isinstance(message.command, InvalidInput)

    @pytest.mark.parametrize("steps", range(LOOP_STEPS))
    async def test_a_cancelled_hear_loses_no_message(
        self, link: SequencedLink, peer: ConnectedPeer, steps: int
    ) -> None:
        hearing = asyncio.create_task(link.hear())
        await let_the_loop_turn()
        await peer.send(encode_heard(WELCOME))
        await let_the_loop_turn(steps)
        hearing.cancel()
        try:
            message = await soon(hearing)
        except asyncio.CancelledError:
            message = await soon(link.hear())

        assert message == WELCOME

    async def test_saying_waits_for_a_peer_that_takes_nothing(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        await peer.withhold()
        said, saying = await _say_until_it_waits(link)
        await peer.resume()
        received = [(await soon(peer.receive()))["seq"] for _ in range(said)]
        await soon(saying)

        assert received == list(range(1, said + 1))

    async def test_a_cancelled_say_has_said_the_message_whole_or_not_at_all(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        await peer.withhold()
        said, saying = await _say_until_it_waits(link)
        saying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(saying)
        await peer.resume()
        next_one = asyncio.create_task(link.say(Bye("next")))
        received: list[object] = []
        while (message := await soon(peer.receive()))["type"] != "BYE":
            received.append(message["seq"])
        await soon(next_one)

        assert received in (list(range(1, said)), list(range(1, said + 1)))

    async def test_hearing_goes_on_while_a_say_waits(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        await peer.withhold()
        _, saying = await _say_until_it_waits(link)
        await peer.send(encode_heard(WELCOME))
        assert await soon(link.hear()) == WELCOME

        saying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(saying)

    async def test_silence_is_told_in_seconds_also_of_a_link_that_is_gone(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        await peer.send(encode_heard(WELCOME))
        await soon(link.hear())
        assert 0 <= link.silence_s < 5
        await peer.cut()
        await _assert_lost(link)
        assert 0 <= link.silence_s < 5

    async def test_a_cut_ends_who_hears_and_who_says(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        hearing = asyncio.create_task(link.hear())
        await peer.withhold()
        _, saying = await _say_until_it_waits(link)
        await peer.cut()

        for waiting in (hearing, saying):
            with pytest.raises(TransportLost):
                await soon(waiting)

    async def test_a_cut_link_is_lost_and_closing_it_is_harmless(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        await peer.cut()

        await _assert_lost(link)
        await soon(link.close(Ending.TOO_SLOW, "there is nobody to hear it"))

    @pytest.mark.parametrize("ending", list(Ending))
    async def test_a_closed_link_is_lost_and_closing_again_is_harmless(
        self, link: SequencedLink, ending: Ending
    ) -> None:
        hearing = asyncio.create_task(link.hear())
        await let_the_loop_turn()
        await soon(link.close(ending, "closed by the test"))
        await soon(link.close(ending, "closed by the test, again"))

        with pytest.raises(TransportLost):
            await soon(hearing)
        await _assert_lost(link)

    async def test_closing_ends_although_the_peer_takes_nothing(
        self, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        await peer.withhold()
        _, saying = await _say_until_it_waits(link)
        await soon(link.close(Ending.TOO_SLOW, "the peer does not read"))

        with pytest.raises(TransportLost):
            await soon(saying)

    async def test_a_transport_connects_again_and_the_old_link_leaves_the_new_one_alone(
        self, transport: Transport, link: SequencedLink, peer: ConnectedPeer
    ) -> None:
        await soon(link.close(Ending.GOING_AWAY, "first"))
        again = await connected(transport)
        try:
            await soon(link.close(Ending.GOING_AWAY, "second"))
            await soon(again.say(ACCEPT))
            assert (await soon(peer.receive()))["type"] == "ACCEPT"
        finally:
            await soon(again.close(Ending.GOING_AWAY, "the test is over"))


def _large(seq: int) -> Said:
    return Result(seq, "job-1", JobState.SUCCEEDED, "x" * 900_000, "")


async def _say_until_it_waits(link: SequencedLink) -> tuple[int, asyncio.Task[None]]:
    """Say more than fits between here and the peer; gives the number of the one that waits, and it."""
    for seq in range(1, MORE_THAN_FITS):
        saying = asyncio.create_task(link.say(_large(seq)))
        for _ in range(2):  # Twice: the machine may have been busy with something else.
            await asyncio.wait({saying}, timeout=WAITS_S)
        if not saying.done():
            return seq, saying
        await saying
    raise AssertionError("it never waits")


async def _send_all(peer: ConnectedPeer, count: int) -> None:
    for n in range(count):
        await peer.send(encode_heard(Acknowledge(n)))


async def _assert_lost(link: SequencedLink) -> None:
    """Hearing comes first: it waits until the loss is known, which saying does not."""
    with pytest.raises(TransportLost):
        await soon(link.hear())
    with pytest.raises(TransportLost):
        await soon(link.say(ACCEPT))
