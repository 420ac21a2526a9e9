"""When a link is given up for dead, and when it only looks dead."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest

from adapters.websocket.links import WebSocketLink
from domain.errors import TransportLost
from domain.events import JobCompleted
from domain.messages import Request
from tests.contracts.transport import command
from tests.integration.websocket.peers import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawPeer,
    frame,
    link_of,
    raw_server,
    reads_nothing,
    soon,
    transport_to,
    upgrades,
)

PING_S = 0.02
PONG_S = 0.4


async def _answers_pings(peer: RawPeer) -> None:
    """Until the agent says goodbye."""
    while (received := await peer.receive()).opcode != CLOSE:
        if received.opcode == PING:
            await peer.write(frame(PONG, received.payload))
    await peer.write(frame(CLOSE, received.payload))


async def test_a_link_on_which_nothing_is_said_is_pinged_again_and_again() -> None:
    ponged = asyncio.Queue[bytes]()

    async def answers_pings(peer: RawPeer) -> None:
        await peer.upgrade()
        while (received := await peer.receive()).opcode == PING:
            await peer.write(frame(PONG, received.payload))
            ponged.put_nowait(received.payload)

    async with raw_server(answers_pings) as server:
        link = await link_of(transport_to(server.url(), ping_s=PING_S))
        payloads = [await soon(ponged.get()) for _ in range(5)]
        await soon(link.close("the test is over"))

    assert len(set(payloads)) == 5


async def test_a_peer_that_answers_nothing_at_all_is_given_up_for_its_silence() -> None:
    async with raw_server(upgrades) as server:
        transport = transport_to(server.url(), ping_s=PING_S, pong_s=PONG_S)
        link = await link_of(transport)
        with pytest.raises(TransportLost) as lost:
            await soon(link.receive())
        await soon((await soon(server.arrivals.get())).gone.wait())
        await soon(link.close("it is gone"))

    assert str(lost.value) == f"{server.url()} was silent for 0.4 s"


async def test_all_who_wait_on_a_silent_link_are_told_of_the_silence() -> None:
    async with raw_server(upgrades) as server:
        link = await link_of(transport_to(server.url(), ping_s=PING_S, pong_s=PONG_S))
        ended = await soon(asyncio.gather(link.receive(), link.confirm(), return_exceptions=True))
        await soon(link.close("it is gone"))

    assert [type(failure) for failure in ended] == [TransportLost, TransportLost]
    assert all("was silent" in str(failure) for failure in ended)


async def test_a_peer_that_is_busy_with_a_long_message_is_not_silent() -> None:
    """It takes twice as long as a pong may, and no pong comes before its end."""
    text = command("job-1").encode().ljust(60)

    async def sends_slowly(peer: RawPeer) -> None:
        await peer.upgrade()
        message = frame(TEXT, text)
        for n in range(len(message)):
            await peer.write(message[n : n + 1])
            await asyncio.sleep(2 * PONG_S / len(message))
        await _answers_pings(peer)

    async with raw_server(sends_slowly) as server:
        link = await link_of(transport_to(server.url(), ping_s=PING_S, pong_s=PONG_S))
        assert isinstance(await soon(link.receive()), Request)
        await soon(link.close("the test is over"))


async def test_a_peer_that_takes_a_backlog_slowly_is_not_silent() -> None:
    """The answer to a ping stands behind a megabyte, which takes twice as long as it may."""
    chunks = 30
    size = 900_000

    async def reads_slowly(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.receive(chunk=size // chunks, pause_s=2 * PONG_S / chunks)
        await _answers_pings(peer)

    async with raw_server(reads_slowly, unread=2 * size // chunks) as server:
        link = await link_of(transport_to(server.url(), ping_s=PING_S, pong_s=PONG_S))
        await soon(link.send(JobCompleted("job-1", "x" * size)))
        await soon(link.confirm())
        await soon(link.close("the test is over"))


async def _send_for_ever(link: WebSocketLink) -> NoReturn:
    while True:
        await link.send(JobCompleted("job-1", "x" * 900_000))


async def test_a_peer_that_never_reads_is_given_up_while_the_agent_still_sends() -> None:
    async with raw_server(reads_nothing, unread=1024) as server:
        link = await link_of(transport_to(server.url(), ping_s=PING_S, pong_s=PONG_S))
        with pytest.raises(TransportLost, match=r"was silent for 0\.4 s$"):
            await soon(_send_for_ever(link))
        await soon(link.close("it is gone"))
