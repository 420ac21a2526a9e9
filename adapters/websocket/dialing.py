"""Opening a WebSocket in stages, each with a deadline and a name of its own.

`websockets` bounds the opening as a whole, so that a server that accepts and never answers could not
be told from a network that swallows everything, and follows redirects, which would show this host's
name to whoever is named there.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.proxy import get_proxy

HAPPY_EYEBALLS_DELAY_S: Final = 0.25
"""RFC 8305, section 5: how long one address may stay silent before the next is tried beside it."""


class StagedConnect(connect):
    """`connect`, with `stage` saying what was being done when it failed."""

    def __init__(self, uri: str, *, stage_s: float, tls: ssl.SSLContext | None, **kwargs: Any):
        super().__init__(uri, open_timeout=None, **kwargs)
        self.stage = "connecting"
        self._stage_s = stage_s
        self._tls = tls

    async def connect(self) -> ClientConnection:
        """Dial once, following no redirect; raises whatever the failed stage raised."""
        connection = await self.open_tcp_connection()
        try:
            async with self._in_stage("the WebSocket handshake"):
                await connection.handshake(self.additional_headers, self.user_agent_header)
        except BaseException:
            connection.transport.abort()
            raise
        connection.start_keepalive()
        return connection

    async def open_tcp_connection(self) -> ClientConnection:
        """A connection on which the WebSocket handshake can begin."""
        if self.proxy is not None and get_proxy(self.ws_uri) is not None:
            async with self._in_stage("connecting through the proxy"):
                return await super().open_tcp_connection()
        loop = asyncio.get_running_loop()
        async with self._in_stage("connecting"):
            transport, _ = await loop.create_connection(
                asyncio.Protocol,
                self.ws_uri.host,
                self.ws_uri.port,
                happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S,
            )
        connection = self.factory(self.ws_uri)
        try:
            transport.set_protocol(connection)
            if self._tls is not None:
                async with self._in_stage("the TLS handshake"):
                    upgraded = await loop.start_tls(
                        transport, connection, self._tls, server_hostname=self.ws_uri.host
                    )
                assert upgraded is not None
                transport = upgraded
        except BaseException:
            transport.abort()
            raise
        connection.connection_made(transport)
        return connection

    @contextlib.asynccontextmanager
    async def _in_stage(self, name: str) -> AsyncIterator[None]:
        self.stage = name
        async with asyncio.timeout(self._stage_s):
            yield
