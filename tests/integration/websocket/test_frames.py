"""What frames may carry, how large they may be, and what ends the link when they are wrong."""

from __future__ import annotations

import asyncio
import json

import pytest

from adapters.websocket.links import WebSocketLink
from adapters.wire.codec import MAX_FRAME_BYTES
from domain.commands import CheckHealth
from domain.errors import TransportLost
from domain.job import JobId
from domain.messages import MalformedMessage, Message, Request
from tests.contracts.transport import command
from tests.integration.websocket.peers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    RawPeer,
    frame,
    header,
    link_of,
    raw_server,
    soon,
    transport_to,
)

FRAGMENT = 4096
"""The size of the frames that gorilla/websocket cuts a message into."""
NEXT = frame(TEXT, command("next").encode())
RSV1, RSV2 = 0x40, 0x20


def padded(job_id: str, size: int) -> bytes:
    """A HEALTH_CHECK of exactly `size` bytes; unknown fields are ignored."""
    empty = json.dumps({"id": job_id, "type": "HEALTH_CHECK", "payload": {}, "padding": ""})
    return empty[:-2].encode() + b"x" * (size - len(empty)) + b'"}'


def fragments(message: bytes, size: int = FRAGMENT) -> bytes:
    """The message in frames of at most that size."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    frames = [
        frame(TEXT if n == 0 else CONTINUATION, piece, fin=n == len(pieces) - 1)
        for n, piece in enumerate(pieces)
    ]
    return b"".join(frames)


async def _received_after(sent: bytes, count: int = 1) -> list[Message]:
    """The messages that arrive when a server sends these bytes."""

    async def sends(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(sent)
        await peer.receive()

    async with raw_server(sends) as server:
        link = await link_of(transport_to(server.url()))
        messages = [await soon(link.receive()) for _ in range(count)]
        await soon(link.close("the test is over"))
    return messages


async def _lost_after(sent: bytes) -> tuple[str, list[Frame]]:
    """How the link is lost when a server sends these bytes, and what the server gets to hear."""
    heard: list[Frame] = []

    async def sends(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(sent)
        heard.append(await peer.receive())
        peer.writer.close()

    async with raw_server(sends) as server:
        link = await link_of(transport_to(server.url()))
        with pytest.raises(TransportLost) as lost:
            await soon(_receive_all(link))
        await soon(link.close("it is gone"))
    return str(lost.value), heard


async def _receive_all(link: WebSocketLink) -> None:
    while True:
        await link.receive()


async def test_a_message_of_exactly_the_limit_arrives() -> None:
    messages = await _received_after(frame(TEXT, padded("big", MAX_FRAME_BYTES)) + NEXT, 2)

    assert messages == [
        Request(JobId("big"), CheckHealth()),
        Request(JobId("next"), CheckHealth()),
    ]


@pytest.mark.parametrize(
    "sent",
    [
        frame(TEXT, padded("big", MAX_FRAME_BYTES + 1)),
        header(TEXT, 4 << 30),
        header(TEXT, (1 << 63) - 1),
        frame(TEXT, b"x" * MAX_FRAME_BYTES, fin=False) + header(CONTINUATION, 1),
    ],
    ids=["one byte more", "4 GiB announced", "8 EiB announced", "one fragment more"],
)
async def test_a_message_over_the_limit_closes_with_1009(sent: bytes) -> None:
    why, heard = await _lost_after(sent)

    assert "was closed with code 1009: " in why
    assert heard[0].close_code == 1009


@pytest.mark.parametrize("size", [FRAGMENT + 1, 1_500_000, MAX_FRAME_BYTES])
async def test_a_message_in_small_frames_arrives_whole(size: int) -> None:
    messages = await _received_after(fragments(padded("big", size)) + NEXT, 2)

    assert messages == [
        Request(JobId("big"), CheckHealth()),
        Request(JobId("next"), CheckHealth()),
    ]


async def test_a_ping_between_two_fragments_is_answered_before_the_message_is_whole() -> None:
    whole = padded("big", 2 * FRAGMENT)

    async def sends(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(frame(TEXT, whole[:FRAGMENT], fin=False) + frame(PING, b"now"))
        assert await peer.receive() == Frame(PONG, b"now")
        await peer.write(frame(CONTINUATION, whole[FRAGMENT:]))
        await peer.receive()

    async with raw_server(sends) as server:
        link = await link_of(transport_to(server.url()))
        assert await soon(link.receive()) == Request(JobId("big"), CheckHealth())
        await soon(link.close("the test is over"))


async def test_more_fragments_than_any_honest_peer_sends_close_with_1009() -> None:
    why, heard = await _lost_after(fragments(padded("big", 5000), size=1))

    assert "was closed with code 1009: too many fragments" in why
    assert heard[0].close_code == 1009


async def test_a_command_in_a_binary_frame_is_a_command() -> None:
    (message,) = await _received_after(frame(BINARY, command("job-1").encode()))

    assert message == Request(JobId("job-1"), CheckHealth())


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\xfd", b'{"id": "\xc3\x28", "type": "STATUS"}', b"\x00\x01\x02", b""],
)
async def test_what_is_not_utf_8_or_no_json_is_a_malformed_message_and_the_link_lives_on(
    opcode: int, content: bytes
) -> None:
    malformed, following = await _received_after(frame(opcode, content) + NEXT, 2)

    assert isinstance(malformed, MalformedMessage)
    assert malformed.job_id == "unknown"
    assert following == Request(JobId("next"), CheckHealth())


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"{}", reserved=RSV1), 1002),
        (frame(TEXT, b"{}", reserved=RSV2), 1002),
        (frame(0x3, b""), 1002),
        (frame(CONTINUATION, b""), 1002),
        (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"", fin=False), 1002),
        (bytes([0x81, 0x80, 1, 2, 3, 4]), 1002),
        (frame(CLOSE, b"\x00"), 1002),
        (frame(CLOSE, b"\x03\xed"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    ],
    ids=[
        "compressed",
        "reserved bit",
        "reserved opcode",
        "continues nothing",
        "a message within a message",
        "long ping",
        "fragmented ping",
        "masked",
        "short close",
        "close with a code that is for nobody",
        "close with a reason that is not UTF-8",
    ],
)
async def test_what_breaks_the_protocol_closes_the_link_and_says_so(sent: bytes, code: int) -> None:
    why, heard = await _lost_after(sent)

    assert f"was closed with code {code}: " in why
    assert heard[0].close_code == code


async def test_a_peer_that_breaks_the_protocol_and_stays_holds_nothing_up() -> None:
    async def stays(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(header(TEXT, 4 << 30))
        while True:
            await peer.write(b"x" * 65536)

    async with raw_server(stays) as server:
        link = await link_of(transport_to(server.url(), ping_s=0.05))
        with pytest.raises(TransportLost, match=r"was closed with code 1009"):
            await soon(link.receive())
        await soon(link.close("it is gone"))


async def test_messages_wait_for_whoever_receives_them_and_not_in_the_agents_memory() -> None:
    blocked = asyncio.Event()

    async def floods(peer: RawPeer) -> None:
        await peer.upgrade()
        message = frame(TEXT, padded("big", 1_000_000))
        for _ in range(60):
            try:
                async with asyncio.timeout(0.1):
                    await peer.write(message)
            except TimeoutError:
                break
        else:
            raise AssertionError("60 MB were taken, and nobody received any of it")
        blocked.set()
        await peer.receive()

    async with raw_server(floods) as server:
        link = await link_of(transport_to(server.url()))
        await soon(blocked.wait())
        assert await soon(link.receive()) == Request(JobId("big"), CheckHealth())
        await soon(link.close("the test is over"))


async def test_what_came_before_a_goodbye_is_still_received() -> None:
    async def says_goodbye(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(NEXT + frame(CLOSE, b"\x03\xe9bye"))
        assert (await peer.receive()).close_code == 1001
        peer.writer.close()

    async with raw_server(says_goodbye) as server:
        link = await link_of(transport_to(server.url()))
        assert await soon(link.receive()) == Request(JobId("next"), CheckHealth())
        with pytest.raises(TransportLost) as lost:
            await soon(link.receive())
        await soon(link.close("it is gone"))

    assert str(lost.value) == f"{server.url()} closed the connection with code 1001"
