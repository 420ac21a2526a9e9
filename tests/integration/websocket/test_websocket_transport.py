"""The WebSocket is a transport, over TLS too."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme
from websockets.asyncio.server import ServerConnection
from websockets.protocol import State
from websockets.typing import Subprotocol

from adapters.websocket.client import WebSocketTransport
from tests.contracts.sequenced_link import SequencedLinkContract
from tests.contracts.transport import PeerConnectionContract
from tests.integration.websocket.peers import control_plane, server_tls, transport_to, trust_in


class SocketPeer:
    """A well-behaved server's end of the latest link."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.arrivals: asyncio.Queue[ServerConnection] = asyncio.Queue()
        self._latest: ServerConnection | None = None

    async def send(self, frame: str | bytes) -> None:
        await (await self._connection()).send(frame)

    async def receive(self) -> dict[str, object]:
        response: dict[str, object] = json.loads(await (await self._connection()).recv())
        return response

    async def cut(self) -> None:
        (await self._connection()).transport.abort()

    async def withhold(self) -> None:
        (await self._connection()).transport.pause_reading()

    async def resume(self) -> None:
        (await self._connection()).transport.resume_reading()

    async def _connection(self) -> ServerConnection:
        latest = self._latest
        while latest is None or latest.state is not State.OPEN or not self.arrivals.empty():
            latest = self._latest = await self.arrivals.get()
        return latest


async def _serve(tls: ssl.SSLContext | None, *versions: str) -> AsyncIterator[SocketPeer]:
    async def handler(connection: ServerConnection) -> None:
        peer.arrivals.put_nowait(connection)
        await connection.wait_closed()

    spoken = [Subprotocol(version) for version in versions] or None
    async with control_plane(handler, tls=tls, max_queue=None, subprotocols=spoken) as url:
        peer = SocketPeer(url)
        yield peer


class TestWebSocketTransport(PeerConnectionContract):
    @pytest.fixture
    async def peer(self) -> AsyncIterator[SocketPeer]:
        async for peer in _serve(None):
            yield peer

    @pytest.fixture
    def transport(self, peer: SocketPeer) -> WebSocketTransport:
        return transport_to(peer.url)


class TestWebSocketTransportOverTls(PeerConnectionContract):
    @pytest.fixture
    async def peer(self, authority: trustme.CA) -> AsyncIterator[SocketPeer]:
        async for peer in _serve(server_tls(authority)):
            yield peer

    @pytest.fixture
    def transport(self, peer: SocketPeer, authority: trustme.CA) -> WebSocketTransport:
        return transport_to(peer.url, tls=trust_in(authority))


class TestWebSocketTransportOfASequencedLink(SequencedLinkContract):
    @pytest.fixture
    async def peer(self) -> AsyncIterator[SocketPeer]:
        async for peer in _serve(None, "instadeploy.v2"):
            yield peer

    @pytest.fixture
    def transport(self, peer: SocketPeer) -> WebSocketTransport:
        return transport_to(peer.url)


class TestWebSocketTransportOfASequencedLinkOverTls(SequencedLinkContract):
    @pytest.fixture
    async def peer(self, authority: trustme.CA) -> AsyncIterator[SocketPeer]:
        async for peer in _serve(server_tls(authority), "instadeploy.v2"):
            yield peer

    @pytest.fixture
    def transport(self, peer: SocketPeer, authority: trustme.CA) -> WebSocketTransport:
        return transport_to(peer.url, tls=trust_in(authority))
