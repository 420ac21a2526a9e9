"""The agent's WebSocket: protocol v1's upgrade request, frames and keepalive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from adapters.websocket.dialing import StagedConnect
from adapters.websocket.refusals import failure_of
from adapters.wire.codec import MAX_FRAME_BYTES, decode, encode
from application.ports.host import HostFacts
from domain.errors import TransportLost
from domain.events import Event
from domain.messages import Message

RECEIVED_FRAMES: Final = 8
"""Frames that may wait unread; a message may have 8 MiB, so the number is small."""


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Seconds. A link on which nothing has come for `pong_s` after a ping is lost."""

    stage_s: float = 10.0
    ping_s: float = 30.0
    pong_s: float = 60.0
    close_s: float = 3.0


class WebSocketTransport:
    """Dials `url` with the token in the Authorization header, through the environment's proxy."""

    def __init__(
        self,
        url: str,
        *,
        token: str,
        facts: HostFacts,
        times: LinkTimes,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._url = url
        self._headers = {
            "Authorization": f"Bearer {token}",
            "X-Agent-Version": facts.agent_version,
            "X-Agent-Architecture": facts.architecture,
            "X-Agent-Hostname": facts.hostname,
        }
        self._user_agent = f"instadeploy-agent/{facts.agent_version}"
        self._times = times
        self._tls = tls
        # At DEBUG the library logs the upgrade request, and with it the token.
        self._library_log = logging.getLogger("instadeploy.websockets")
        self._library_log.setLevel(logging.CRITICAL)

    async def connect(self) -> WebSocketLink:
        """See `Transport`."""
        where = public_address(self._url)
        dial = StagedConnect(
            self._url,
            stage_s=self._times.stage_s,
            tls=self._tls,
            ssl=self._tls,
            additional_headers=self._headers,
            user_agent_header=self._user_agent,
            compression=None,
            max_size=MAX_FRAME_BYTES,
            max_queue=RECEIVED_FRAMES,
            ping_interval=None,
            close_timeout=self._times.close_s,
            create_connection=_HearingConnection,
            logger=self._library_log,
        )
        try:
            connection = await dial.connect()
        except Exception as exc:
            raise failure_of(exc, where, stage=dial.stage, now=datetime.now(UTC)) from exc
        assert isinstance(connection, _HearingConnection)
        return WebSocketLink(connection, where, self._times)


class WebSocketLink:
    """One WebSocket. It looks after its own keepalive, which counts whatever is heard."""

    def __init__(self, connection: _HearingConnection, where: str, times: LinkTimes) -> None:
        self._connection = connection
        self._where = where
        self._times = times
        self._keepalive = asyncio.create_task(self._keep_alive(), name="websocket-keepalive")

    async def receive(self) -> Message:
        """See `Link`."""
        with self._translated():
            return decode(await self._connection.recv(decode=False))

    async def send(self, event: Event) -> None:
        """See `Link`; waits while the peer takes nothing."""
        with self._translated():
            await self._connection.send(encode(event))

    async def confirm(self) -> None:
        """See `Link`: a pong tells that what was sent before its ping has been read."""
        with self._translated():
            await self._round_trip()

    async def close(self, reason: str) -> None:
        """See `Link`; says 1001, going away."""
        self._keepalive.cancel()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2 * self._times.close_s):
                await self._connection.close(CloseCode.GOING_AWAY, reason)
        self._connection.transport.abort()

    async def _keep_alive(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self._times.ping_s)
                await self._ping_or_give_up()

    async def _ping_or_give_up(self) -> None:
        loop = asyncio.get_running_loop()
        pinged_at = loop.time()
        pong = asyncio.create_task(self._round_trip(), name="websocket-ping")
        try:
            while not pong.done():
                # Whatever comes proves the link alive: a pong may have to wait behind a message of
                # megabytes.
                silent_since = max(pinged_at, self._connection.heard_at)
                patience_s = silent_since + self._times.pong_s - loop.time()
                if patience_s <= 0:
                    self._connection.silent_for_s = self._times.pong_s
                    self._connection.transport.abort()
                    return
                await asyncio.wait({pong}, timeout=patience_s)
            await pong
        finally:
            pong.cancel()

    async def _round_trip(self) -> None:
        await (await self._connection.ping())

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ConnectionClosed as exc:
            silent_for_s = self._connection.silent_for_s
            if silent_for_s is not None:
                why = f"{self._where} was silent for {silent_for_s:g} s"
            elif exc.rcvd is not None:
                why = f"{self._where} closed the connection with code {exc.rcvd.code}"
            elif exc.sent is not None and exc.sent.code != CloseCode.GOING_AWAY:
                why = f"the connection to {self._where} was closed with code {exc.sent.code}"
            else:
                why = f"the connection to {self._where} was cut"
            raise TransportLost(why) from exc


class _HearingConnection(ClientConnection):
    """Remembers when anything was last heard."""

    def __init__(self, protocol: ClientProtocol, **kwargs: Any) -> None:
        super().__init__(protocol, **kwargs)
        self.heard_at = self.loop.time()
        self.silent_for_s: float | None = None

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        super().data_received(data)


def public_address(url: str) -> str:
    """A URL without what may be secret in it: user, password, query and fragment."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
