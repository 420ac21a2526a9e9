"""How a link ends: confirmed, closed, cancelled; and that nothing of it stays behind."""

from __future__ import annotations

import asyncio

import psutil
import pytest
import trustme

from domain.errors import TransportLost
from domain.events import JobCompleted
from tests.fakes.clock import settle
from tests.integration.websocket.peers import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawPeer,
    Script,
    frame,
    link_of,
    raw_server,
    reads_nothing,
    server_tls,
    soon,
    transport_to,
    trust_in,
    upgrades,
)


def _sockets_to(port: int) -> list[str]:
    """The states of this process's connections on which the agent is the one who dialled that port."""
    return [
        connection.status
        for connection in psutil.Process().net_connections("tcp")
        if connection.raddr and connection.raddr.port == port
    ]


async def test_confirm_returns_when_the_peer_has_read_what_was_sent_and_not_before() -> None:
    read: asyncio.Queue[str] = asyncio.Queue()
    permission = asyncio.Event()

    async def withholds_pongs(peer: RawPeer) -> None:
        await peer.upgrade()
        result = await peer.receive()
        ping = await peer.receive()
        assert (result.opcode, ping.opcode) == (TEXT, PING)
        read.put_nowait(result.response["job_id"])
        await permission.wait()
        await peer.write(frame(PONG, ping.payload))
        await peer.receive()

    async with raw_server(withholds_pongs) as server:
        link = await link_of(transport_to(server.url()))
        await soon(link.send(JobCompleted("job-1", "done")))
        confirming = asyncio.create_task(link.confirm())
        assert await soon(read.get()) == "job-1"
        await settle()
        assert not confirming.done()
        permission.set()
        await soon(confirming)
        await soon(link.close("the test is over"))


async def test_a_pong_that_nobody_asked_for_confirms_nothing() -> None:
    async def pongs_unasked(peer: RawPeer) -> None:
        await peer.upgrade()
        ping = await peer.receive()
        await peer.write(frame(PONG, b"") + frame(PONG, b"anything"))
        await peer.write(frame(PING, b"are they through?"))
        assert (await peer.receive()).opcode == PONG
        through.set()
        await permission.wait()
        await peer.write(frame(PONG, ping.payload))
        await peer.receive()

    through, permission = asyncio.Event(), asyncio.Event()
    async with raw_server(pongs_unasked) as server:
        link = await link_of(transport_to(server.url()))
        confirming = asyncio.create_task(link.confirm())
        await soon(through.wait())
        assert not confirming.done()
        permission.set()
        await soon(confirming)
        await soon(link.close("the test is over"))


async def test_closing_says_1001_and_why() -> None:
    heard: list[tuple[int, bytes]] = []

    async def says_goodbye_too(peer: RawPeer) -> None:
        await peer.upgrade()
        goodbye = await peer.receive()
        heard.append((goodbye.close_code, goodbye.payload[2:]))
        await peer.write(frame(CLOSE, goodbye.payload))
        peer.writer.close()

    async with raw_server(says_goodbye_too) as server:
        link = await link_of(transport_to(server.url(), close_s=20))
        await soon(link.close("the agent is stopping"))
        with pytest.raises(TransportLost) as lost:
            await soon(link.receive())

    assert heard == [(1001, b"the agent is stopping")]
    assert str(lost.value) == f"the connection to {server.url()} was cut"


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize("peer", [upgrades, reads_nothing])
async def test_closing_ends_although_the_peer_never_says_goodbye(
    authority: trustme.CA, peer: Script, over_tls: bool
) -> None:
    async with raw_server(peer, tls=server_tls(authority) if over_tls else None) as server:
        tls = trust_in(authority) if over_tls else None
        link = await link_of(transport_to(server.url(), tls=tls))
        await soon(link.close("the agent is stopping"))
        assert _sockets_to(server.port) == []


async def test_closing_that_is_itself_cancelled_still_releases_the_socket() -> None:
    async with raw_server(upgrades) as server:
        link = await link_of(transport_to(server.url(), close_s=20))
        closing = asyncio.create_task(link.close("the agent is stopping"))
        await settle()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(closing)
        await soon((await soon(server.arrivals.get())).gone.wait())


async def test_closing_ends_the_keepalive() -> None:
    async with raw_server(upgrades) as server:
        before = asyncio.all_tasks()
        link = await link_of(transport_to(server.url()))
        await soon(link.close("the test is over"))
        left = {task for task in asyncio.all_tasks() - before if "websocket" in task.get_name()}

    assert left == set()


async def test_a_peer_that_hangs_up_without_a_word_is_a_cut() -> None:
    async def hangs_up(peer: RawPeer) -> None:
        await peer.upgrade()
        peer.writer.close()

    async with raw_server(hangs_up) as server:
        link = await link_of(transport_to(server.url()))
        with pytest.raises(TransportLost) as lost:
            await soon(link.receive())
        await soon(link.close("it is gone"))

    assert str(lost.value) == f"the connection to {server.url()} was cut"
