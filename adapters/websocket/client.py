"""The agent's WebSocket: protocol v1's upgrade request, frames and keepalive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import CloseCode
from websockets.protocol import State

from adapters.websocket.dialing import Attempt, StagedConnect
from adapters.websocket.hearing import HearingConnection
from adapters.websocket.refusals import failure_of
from adapters.wire.codec import MAX_FRAME_BYTES, decode, encode
from application.ports.host import HostFacts
from domain.errors import TransportLost
from domain.events import Event
from domain.messages import Message

RECEIVED_FRAMES: Final = 8
"""Frames that may wait unread; a message may have 8 MiB, so the number is small."""
LOOKS_IN_PATIENCE: Final = 4
"""How often, while a pong is waited for, it is looked whether the peer at least takes what it gets."""


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
        attempt = Attempt()
        try:
            connection = await self._dialler(attempt).connect()
        except Exception as exc:  # noqa: BLE001 - sorted, and raised in our words
            failure = failure_of(
                exc, where, stage=attempt.stage, status=attempt.status, now=datetime.now(UTC)
            )
            # What the library says quotes the peer, who knows the token.
            raise failure from (None if isinstance(exc, WebSocketException) else exc)
        return WebSocketLink(connection, where, self._times)

    def _dialler(self, attempt: Attempt) -> StagedConnect:
        return StagedConnect(
            self._url,
            attempt=attempt,
            stage_s=self._times.stage_s,
            tls=self._tls,
            additional_headers=self._headers,
            user_agent_header=self._user_agent,
            compression=None,
            max_size=MAX_FRAME_BYTES,
            max_queue=RECEIVED_FRAMES,
            ping_interval=None,
            close_timeout=self._times.close_s,
            logger=self._library_log,
        )


class WebSocketLink:
    """One WebSocket. It looks after its own keepalive, which counts whatever is heard."""

    def __init__(self, connection: HearingConnection, where: str, times: LinkTimes) -> None:
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
            if self._connection.state is State.CLOSED:
                # It waited for the peer to take something, and what ended the wait was the end.
                raise self._connection.close_exc

    async def confirm(self) -> None:
        """See `Link`: a pong tells that what was sent before its ping has been read."""
        with self._translated():
            await self._round_trip()

    async def close(self, reason: str) -> None:
        """See `Link`; says 1001, going away."""
        self._keepalive.cancel()
        try:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._times.close_s):
                    await self._connection.close(CloseCode.GOING_AWAY, reason)
        finally:
            self._connection.transport.abort()
        await self._connection.wait_closed()

    async def _keep_alive(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self._times.ping_s)
                await self._ping_or_give_up()

    async def _ping_or_give_up(self) -> None:
        pong_s = self._times.pong_s
        loop = asyncio.get_running_loop()
        pinged_at = loop.time()
        pong = asyncio.create_task(self._round_trip(), name="websocket-ping")
        try:
            while not pong.done():
                self._connection.look_for_progress()
                silent_since = max(pinged_at, self._connection.heard_at)
                patience_s = silent_since + pong_s - loop.time()
                if patience_s <= 0:
                    self._connection.silent_for_s = pong_s
                    self._connection.transport.abort()
                    return
                await asyncio.wait({pong}, timeout=min(patience_s, pong_s / LOOKS_IN_PATIENCE))
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
            raise TransportLost(self._why(exc)) from exc

    def _why(self, exc: ConnectionClosed) -> str:
        if self._connection.silent_for_s is not None:
            return f"{self._where} was silent for {self._connection.silent_for_s:g} s"
        if exc.rcvd is not None and exc.rcvd_then_sent is not False:
            return f"{self._where} closed the connection with code {exc.rcvd.code}"
        if exc.sent is not None and exc.sent.code != CloseCode.GOING_AWAY:
            # The reason is the library's own word for what the peer did wrong.
            reason = f"code {exc.sent.code}: {exc.sent.reason}"
            return f"the connection to {self._where} was closed with {reason}"
        return f"the connection to {self._where} was cut"


def public_address(url: str) -> str:
    """A URL without what may be secret in it: user, password, query and fragment."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
