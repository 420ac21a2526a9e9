"""How a link of protocol v2 ends, what its close codes mean, and peers of which half is dead."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable

import pytest

from application.ports.transport import SequencedLink
from domain.errors import TransportLost, TransportRefused
from domain.job import JobState
from domain.link_messages import Accept, Ending, Heartbeat, Result
from tests.integration.websocket.peers import (
    CLOSE,
    TEXT,
    TOKEN,
    V2,
    RawPeer,
    Script,
    frame,
    header,
    link_of,
    raw_server,
    sequenced_link_of,
    soon,
    transport_to,
)

ACCEPT = Accept(1, "job-1", JobState.ACCEPTED)


def _closes_with(code: int, *headers: str) -> Script:
    async def script(peer: RawPeer) -> None:
        await peer.upgrade(*headers)
        await peer.write(frame(CLOSE, struct.pack("!H", code) + b"what the peer says of it"))
        assert (await peer.receive()).close_code == code
        peer.writer.close()

    return script


async def _end_of(code: int, token: str | None = TOKEN) -> TransportLost | TransportRefused:
    """What is heard, and raised for whoever says something, when the peer closes with a code."""
    async with raw_server(_closes_with(code, V2)) as server:
        link = await sequenced_link_of(transport_to(server.url(), token=token))
        heard = await _failure_of(link.hear())
        said = await _failure_of(link.say(ACCEPT))
        await soon(link.close(Ending.GOING_AWAY, "it is gone"))
        assert str(heard).startswith(server.url())
        assert "what the peer says" not in str(heard)
    assert (type(said), str(said)) == (type(heard), str(heard))
    return heard


async def _failure_of(waiting: Awaitable[object]) -> TransportLost | TransportRefused:
    try:
        await soon(waiting)
    except (TransportLost, TransportRefused) as failure:
        return failure
    raise AssertionError("the link lives on")


@pytest.mark.parametrize(
    ("token", "code", "why", "advice"),
    [
        (TOKEN, 4401, "does not accept who this agent says it is", "check AGENT_SECRET_TOKEN"),
        (TOKEN, 4403, "has revoked this agent", "whether this agent was revoked there"),
        (None, 4401, "does not accept who this agent says it is", "does not know this host's key"),
        (None, 4403, "has revoked this agent", "set a fresh AGENT_ENROLL_TOKEN"),
    ],
)
async def test_a_link_that_was_refused_is_refused_with_advice(
    token: str | None, code: int, why: str, advice: str
) -> None:
    end = await _end_of(code, token)

    assert isinstance(end, TransportRefused)
    assert why in str(end)
    assert advice in end.advice


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (4400, "code 4400: it says that the protocol was violated"),
        (4408, "code 4408: it says that what it sends is not read"),
        (4409, "code 4409: another connection of the same agent has replaced this one"),
        (4429, "code 4429: it says that this was too much at once"),
        (4503, "code 4503: it goes away"),
        (1000, "closed the connection with code 1000"),
        (1001, "closed the connection with code 1001"),
        (1011, "closed the connection with code 1011"),
        (4999, "closed the connection with code 4999"),
    ],
)
async def test_a_link_that_ended_otherwise_is_lost(code: int, why: str) -> None:
    end = await _end_of(code)

    assert isinstance(end, TransportLost)
    assert str(end).endswith(why)


async def test_a_goodbye_without_hanging_up_is_noticed_by_whoever_says_something() -> None:
    async def stays(peer: RawPeer) -> None:
        await peer.upgrade(V2)
        await peer.write(frame(CLOSE, struct.pack("!H", 4403)))
        answered.set()
        await peer.read_to_the_end()

    answered = asyncio.Event()
    async with raw_server(stays) as server:
        link = await sequenced_link_of(transport_to(server.url()))
        hearing = asyncio.create_task(_failure_of(link.hear()))
        await soon(answered.wait())
        assert isinstance(await _failure_of(_say_for_ever(link)), TransportRefused)
        assert isinstance(await soon(hearing), TransportRefused)
        await soon((await soon(server.arrivals.get())).gone.wait())


async def _say_for_ever(link: SequencedLink) -> None:
    while True:
        await link.say(ACCEPT)
        await asyncio.sleep(0)


async def test_no_close_code_refuses_an_agent_of_the_first_version() -> None:
    async with raw_server(_closes_with(4401)) as server:
        link = await link_of(transport_to(server.url()))
        with pytest.raises(TransportLost, match=r"with code 4401$"):
            await soon(link.receive())
        await soon(link.close("it is gone"))


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (Ending.GOING_AWAY, 1001),
        (Ending.VIOLATION, 4400),
        (Ending.DISTRUST, 4401),
        (Ending.TOO_SLOW, 4408),
    ],
)
@pytest.mark.parametrize(
    ("reason", "sent"),
    [("no WELCOME", "no WELCOME"), ("ü" * 70, "ü" * 61), ("half \ud800", "half ?")],
)
async def test_the_agent_closes_with_the_code_of_its_ending_and_a_reason_that_fits(
    ending: Ending, code: int, reason: str, sent: str
) -> None:
    heard: list[tuple[int, str]] = []

    async def says_goodbye_too(peer: RawPeer) -> None:
        await peer.upgrade(V2)
        goodbye = await peer.receive()
        heard.append((goodbye.close_code, goodbye.payload[2:].decode()))
        await peer.write(frame(CLOSE, goodbye.payload))
        peer.writer.close()

    async with raw_server(says_goodbye_too) as server:
        link = await sequenced_link_of(transport_to(server.url(), close_s=20))
        await soon(link.close(ending, reason))
        with pytest.raises(TransportLost):
            await soon(link.hear())

    assert heard == [(code, sent)]


async def test_a_message_over_the_limit_closes_the_link_with_1009() -> None:
    codes: list[int] = []

    async def sends_too_much(peer: RawPeer) -> None:
        await peer.upgrade(V2)
        await peer.write(header(TEXT, 8 * 1024 * 1024 + 1))
        codes.append((await peer.receive()).close_code)
        peer.writer.close()

    async with raw_server(sends_too_much) as server:
        link = await sequenced_link_of(transport_to(server.url()))
        with pytest.raises(TransportLost, match="closed with code 1009"):
            await soon(link.hear())
        await soon(link.close(Ending.GOING_AWAY, "it is gone"))

    assert codes == [1009]


async def _hangs(peer: RawPeer) -> None:
    """Agrees to speak v2, and then neither reads nor says anything; its machine still lives."""
    await peer.upgrade(V2)
    await asyncio.get_running_loop().create_future()


async def test_a_peer_that_hangs_is_silent_although_its_machine_takes_heartbeats() -> None:
    async with raw_server(_hangs) as server:
        link = await sequenced_link_of(transport_to(server.url()))
        loop = asyncio.get_running_loop()
        connected_at = loop.time()
        for n in range(300):
            await soon(link.say(Heartbeat({"queued": n})))
            connected_for_s = loop.time() - connected_at
            assert link.silence_s >= connected_for_s
        await soon(link.close(Ending.GOING_AWAY, "it is silent"))


async def _silence_ends(link: SequencedLink, since: float) -> None:
    """Return when a sign of life has come after a moment of the loop's time."""
    while asyncio.get_running_loop().time() - link.silence_s <= since:  # noqa: ASYNC110 - it is asked
        await asyncio.sleep(0.005)


async def test_whatever_a_peer_says_ends_its_silence_also_half_a_frame() -> None:
    says_more = asyncio.Event()

    async def says_half_a_frame(peer: RawPeer) -> None:
        await peer.upgrade(V2)
        await says_more.wait()
        await peer.write(header(TEXT, 100) + b"{")
        await peer.read_to_the_end()

    async with raw_server(says_half_a_frame) as server:
        link = await sequenced_link_of(transport_to(server.url()))
        asked_at = asyncio.get_running_loop().time()
        says_more.set()
        await soon(_silence_ends(link, asked_at))
        await soon(link.close(Ending.GOING_AWAY, "the test is over"))


async def test_a_peer_that_takes_a_backlog_slowly_is_not_silent() -> None:
    takes_more = asyncio.Event()

    async def takes_a_part(peer: RawPeer) -> None:
        await peer.upgrade(V2)
        await takes_more.wait()
        await peer.reader.readexactly(200_000)
        await asyncio.get_running_loop().create_future()

    async with raw_server(takes_a_part, unread=1024) as server:
        link = await sequenced_link_of(transport_to(server.url()))
        said = Result(1, "job-1", JobState.SUCCEEDED, "x" * 900_000, "")
        saying = asyncio.gather(*(link.say(said) for _ in range(8)))
        await asyncio.wait({saying}, timeout=0.1)
        assert link.silence_s >= 0
        asked_at = asyncio.get_running_loop().time()
        takes_more.set()
        await soon(_silence_ends(link, asked_at))
        await soon(link.close(Ending.TOO_SLOW, "the test is over"))
        with pytest.raises(TransportLost):
            await soon(saying)
