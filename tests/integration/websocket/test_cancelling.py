"""An attempt to connect that is cancelled, at whatever moment, leaves no connection behind."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from adapters.websocket.addresses import AddressInfo
from adapters.websocket.client import WebSocketTransport
from tests.fakes.clock import settle
from tests.integration.websocket.peers import (
    RawPeer,
    RawServer,
    http,
    listens,
    raw_server,
    server_tls,
    soon,
    transport_to,
    trust_in,
    upgrades,
)

TURNS_AFTER_NEWS = 4
"""How many turns of the event loop what one piece of news sets in motion takes at the most."""


class Moments:
    """The moments at which something came in over a socket: each is one to cancel at."""

    def __init__(self) -> None:
        self.passed = 0
        loop: Any = asyncio.get_running_loop()
        process: Callable[[list[object]], None] = loop._process_events

        def count(events: list[object]) -> None:
            self.passed += bool(events)
            process(events)

        loop._process_events = count

    async def cancel_at_each(self, transport: WebSocketTransport, *servers: RawServer) -> int:
        """Connect again and again, cancelled a little later each time; returns how often."""
        attempts = 0
        while await self._is_cancelled(transport, *divmod(attempts, TURNS_AFTER_NEWS)):
            attempts += 1
            await settle()
            for server in servers:
                for peer in server.peers:
                    await soon(peer.gone.wait())
            # A socket that was forgotten and not closed warns when it is collected.
            gc.collect(0)
        return attempts

    async def _is_cancelled(self, transport: WebSocketTransport, news: int, turns: int) -> bool:
        """Whether a cancellation after so much news, and so many turns more, came in time."""
        seen_before = self.passed
        connecting = asyncio.create_task(transport.connect())
        while self.passed - seen_before < news and not connecting.done():  # noqa: ASYNC110 - turns
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        try:
            link = await soon(connecting)
        except asyncio.CancelledError:
            return True
        assert link.version == 1
        await soon(link.close("it was too late"))
        return False


@pytest.fixture
async def moments() -> Moments:
    return Moments()


async def test_at_every_moment_of_connecting_in_the_clear(moments: Moments) -> None:
    async with raw_server(upgrades) as server:
        assert await moments.cancel_at_each(transport_to(server.url()), server) > 4


async def test_at_every_moment_of_connecting_over_tls(
    moments: Moments, authority: trustme.CA
) -> None:
    async with raw_server(upgrades, tls=server_tls(authority)) as server:
        transport = transport_to(server.url(), tls=trust_in(authority))
        assert await moments.cancel_at_each(transport, server) > 12


async def test_at_every_moment_of_connecting_through_a_proxy(
    moments: Moments, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def agrees(peer: RawPeer) -> None:
        await peer.request()
        await peer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await upgrades(peer)

    async with raw_server(agrees) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert await moments.cancel_at_each(transport_to("ws://cp.example/ws"), proxy) > 8


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_while_a_server_says_nothing(scheme: str, authority: trustme.CA) -> None:
    tls = trust_in(authority) if scheme == "wss" else None
    async with raw_server(listens) as server:
        url = f"{scheme}://127.0.0.1:{server.port}/ws"
        connecting = asyncio.create_task(transport_to(url, tls=tls).connect())
        peer = await soon(server.arrivals.get())
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(connecting)
        await soon(peer.gone.wait())


async def test_while_one_address_says_nothing_and_another_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    tried: asyncio.Queue[socket.socket] = asyncio.Queue()

    async def getaddrinfo(*_: object, **__: object) -> list[AddressInfo]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (f"127.0.0.{n}", 1))
            for n in (1, 2)
        ]

    async def sock_connect(attempt: socket.socket, _address: object) -> None:
        tried.put_nowait(attempt)
        await loop.create_future()

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    connecting = asyncio.create_task(transport_to("ws://cp.example/ws").connect())
    attempts = [await soon(tried.get()) for _ in range(2)]
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(connecting)
    await settle()

    assert [attempt.fileno() for attempt in attempts] == [-1, -1]


async def test_a_refusal_leaves_nothing_behind_either() -> None:
    async def refuses(peer: RawPeer) -> None:
        await peer.request()
        await peer.write(http("503 Service Unavailable"))

    async with raw_server(refuses) as server:
        for _ in range(5):
            with pytest.raises(Exception, match="answered HTTP 503"):
                await soon(transport_to(server.url()).connect())
        for peer in server.peers:
            await soon(peer.gone.wait())
        assert len(server.peers) == 5
