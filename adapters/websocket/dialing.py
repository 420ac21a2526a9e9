"""Opening a WebSocket in stages, each with a deadline and a name of its own.

`websockets` bounds the opening as a whole, so that a server that accepts and never answers could not
be told from a network that swallows everything, and follows redirects, which would show this host's
name to whoever is named there.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import HTTPProxyConnection, connect
from websockets.exceptions import InvalidProxy
from websockets.proxy import Proxy, get_proxy, parse_proxy
from websockets.uri import WebSocketURI

from adapters.websocket.addresses import connect_to
from adapters.websocket.hearing import HearingConnection
from adapters.websocket.refusals import Stage, UnusableProxy


@dataclass(slots=True)
class Attempt:
    """How far dialling came: what was being done, and what HTTP status began the answer, if any."""

    stage: Stage = Stage.CONNECTING
    status: int | None = None


class StagedConnect(connect):
    """`connect`, with each stage noted in `attempt` when it begins."""

    def __init__(
        self,
        uri: str,
        *,
        attempt: Attempt,
        stage_s: float,
        tls: ssl.SSLContext | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            uri, open_timeout=None, ssl=tls, create_connection=HearingConnection, **kwargs
        )
        self._attempt = attempt
        self._stage_s = stage_s
        self._tls = tls

    async def connect(self) -> HearingConnection:
        """Dial once, following no redirect; raises whatever the failed stage raised."""
        connection = await self.open_tcp_connection()
        try:
            async with self._in_stage(Stage.HANDSHAKE):
                await connection.handshake(self.additional_headers, self.user_agent_header)
        except BaseException as exc:
            self._attempt.status = connection.answered_status
            nonsense = connection.protocol.handshake_exc
            connection.transport.abort()
            if isinstance(exc, TimeoutError) and nonsense is not None:
                raise nonsense from None  # From a server that then left the connection open.
            raise
        return connection

    async def open_tcp_connection(self) -> HearingConnection:
        """A connection on which the WebSocket handshake can begin."""
        proxy = environment_proxy(self.ws_uri)
        transport = await (self._dial() if proxy is None else self._dial_through(proxy))
        connection = self.factory(self.ws_uri)
        assert isinstance(connection, HearingConnection)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if self._tls is not None:
            # Made a second time: a TLS handshake that fails loses the connection like any other end.
            connection.connection_made(await self._secure(transport, connection, self._tls))
        return connection

    async def _dial(self) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        async with self._in_stage(Stage.CONNECTING):
            link = await connect_to(self.ws_uri.host, self.ws_uri.port)
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=link)
        return transport

    async def _dial_through(self, proxy: Proxy) -> asyncio.Transport:
        tls = (self._tls or ssl.create_default_context()) if proxy.scheme == "https" else None
        loop = asyncio.get_running_loop()
        async with self._in_stage(Stage.PROXY):
            link = await connect_to(proxy.host, proxy.port)
            transport, asking = await loop.create_connection(
                lambda: _ProxyConnection(self.ws_uri, proxy, self.user_agent_header),
                sock=link,
                ssl=tls,
                server_hostname=proxy.host if tls is not None else None,
            )
            try:
                await asking.response
            except BaseException:
                transport.abort()
                raise
        return transport

    async def _secure(
        self, transport: asyncio.Transport, connection: asyncio.Protocol, tls: ssl.SSLContext
    ) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        try:
            async with self._in_stage(Stage.TLS):
                upgraded = await loop.start_tls(
                    transport, connection, tls, server_hostname=self.ws_uri.host
                )
        except BaseException:
            transport.abort()
            raise
        assert upgraded is not None
        return upgraded

    @contextlib.asynccontextmanager
    async def _in_stage(self, stage: Stage) -> AsyncIterator[None]:
        self._attempt.stage = stage
        async with asyncio.timeout(self._stage_s):
            yield


class _ProxyConnection(HTTPProxyConnection):
    """CONNECT; the library's own breaks when a proxy hangs up, and leaves that in the log."""

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.reader.eof:
            super().connection_lost(exc)
        if self.response.done() and not self.response.cancelled():
            self.response.exception()  # Whoever would have asked for it may have been cancelled.


def environment_proxy(uri: WebSocketURI) -> Proxy | None:
    """The HTTP proxy that the environment names for this address; None where it names none.

    Looked at in this order, in lower or upper case: for ws `WS_PROXY`, `SOCKS_PROXY`, `HTTPS_PROXY`,
    `HTTP_PROXY`, `ALL_PROXY`; for wss `WSS_PROXY`, `SOCKS_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`. Hosts in
    `NO_PROXY` are dialled directly. Raises `UnusableProxy` for one that is no HTTP proxy; the value
    may hold a password, and no error repeats it.
    """
    named = get_proxy(uri)
    if named is None and not urllib.request.proxy_bypass(f"{uri.host}:{uri.port}"):
        named = urllib.request.getproxies().get("all")
    if named is None:
        return None
    try:
        proxy = parse_proxy(named)
    except (InvalidProxy, ValueError):
        raise UnusableProxy("a proxy that is not a URL such as http://host:port") from None
    if proxy.scheme not in ("http", "https"):
        raise UnusableProxy("a SOCKS proxy, which this agent does not speak")
    return proxy
