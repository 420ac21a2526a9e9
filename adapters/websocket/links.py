"""Links that are WebSockets, one class for each version of the protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from adapters.websocket.hearing import HearingConnection
from adapters.websocket.refusals import Failure, end_of_v1, end_of_v2
from adapters.wire.codec import decode, encode
from adapters.wire.codec_v2 import decode_v2, encode_v2
from domain.errors import TransportLost
from domain.events import Event
from domain.link_messages import Ending, Heard, Said
from domain.messages import Message

LOOKS_IN_PATIENCE: Final = 4
"""How often, while a pong is waited for, it is looked whether the peer at least takes what it gets."""
BACKLOG_BYTES: Final = 16 * 1024
"""Less is no backlog: the machine of a control plane that hangs takes heartbeats for hours."""
LONGEST_REASON: Final = 123
"""Bytes that a close frame has for its reason (RFC 6455, section 5.5)."""
CLOSE_CODES: Final[Mapping[Ending, int]] = {
    Ending.GOING_AWAY: CloseCode.GOING_AWAY,
    Ending.VIOLATION: 4400,
    Ending.DISTRUST: 4401,
    Ending.TOO_SLOW: 4408,
}


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Seconds. A link of v1 on which nothing has come for `pong_s` after a ping is lost."""

    stage_s: float = 10.0
    ping_s: float = 30.0
    pong_s: float = 60.0
    close_s: float = 3.0


class _SocketLink:
    """What links of both versions are made of; `end_of` says what a close code of the peer means."""

    def __init__(
        self,
        connection: HearingConnection,
        where: str,
        times: LinkTimes,
        end_of: Callable[[int, str], Failure],
    ) -> None:
        self._connection = connection
        self._where = where
        self._times = times
        self._end_of = end_of

    async def _receive_frame(self) -> bytes:
        with self._translated():
            return await self._connection.recv(decode=False)

    async def _send_frame(self, text: str) -> None:
        """Cancelled, it has sent the whole frame or nothing of it."""
        with self._translated():
            await self._connection.send(text)
            if self._connection.state is State.CLOSED:
                # It waited for the peer to take something, and what ended the wait was the end.
                raise self._connection.close_exc

    async def _close(self, code: int, reason: str) -> None:
        # Cut where it is too long, and within no character.
        fitting = reason.encode("utf-8", "replace")[:LONGEST_REASON].decode("utf-8", "ignore")
        try:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._times.close_s):
                    await self._connection.close(code, fitting)
        finally:
            self._connection.cut()
        await self._connection.wait_closed()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ConnectionClosed as exc:
            raise self._failure(exc) from exc

    def _failure(self, exc: ConnectionClosed) -> Failure:
        if self._connection.silent_for_s is not None:
            return TransportLost(
                f"{self._where} was silent for {self._connection.silent_for_s:g} s"
            )
        if exc.rcvd is not None and exc.rcvd_then_sent is not False:
            return self._end_of(exc.rcvd.code, self._where)
        if exc.sent is not None and exc.sent.code != CloseCode.GOING_AWAY:
            # The reason is the library's own word for what the peer did wrong.
            reason = f"code {exc.sent.code}: {exc.sent.reason}"
            return TransportLost(f"the connection to {self._where} was closed with {reason}")
        return TransportLost(f"the connection to {self._where} was cut")


class WebSocketLink(_SocketLink):
    """A WebSocket of v1. It looks after its own keepalive, which counts whatever is heard."""

    def __init__(self, connection: HearingConnection, where: str, times: LinkTimes) -> None:
        super().__init__(connection, where, times, end_of_v1)
        self._keepalive = asyncio.create_task(self._keep_alive(), name="websocket-keepalive")

    @property
    def version(self) -> Literal[1]:
        """See `Link`."""
        return 1

    async def receive(self) -> Message:
        """See `Link`."""
        return decode(await self._receive_frame())

    async def send(self, event: Event) -> None:
        """See `Link`; waits while the peer takes nothing."""
        await self._send_frame(encode(event))

    async def confirm(self) -> None:
        """See `Link`: a pong tells that what was sent before its ping has been read."""
        with self._translated():
            await self._round_trip()

    async def close(self, reason: str) -> None:
        """See `Link`; says 1001, going away."""
        self._keepalive.cancel()
        await self._close(CloseCode.GOING_AWAY, reason)

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
                    self._connection.cut()
                    return
                await asyncio.wait({pong}, timeout=min(patience_s, pong_s / LOOKS_IN_PATIENCE))
            await pong
        finally:
            pong.cancel()

    async def _round_trip(self) -> None:
        await (await self._connection.ping())


class SequencedWebSocketLink(_SocketLink):
    """A WebSocket of v2. It sends no pings: who uses it sends heartbeats, and watches the silence.

    `by_key` says that no token was sent, which is other advice where the peer refuses.
    """

    def __init__(
        self,
        connection: HearingConnection,
        where: str,
        times: LinkTimes,
        *,
        by_key: bool = False,
    ) -> None:
        super().__init__(connection, where, times, partial(end_of_v2, by_key=by_key))

    @property
    def version(self) -> Literal[2]:
        """See `SequencedLink`."""
        return 2

    @property
    def silence_s(self) -> float:
        """See `SequencedLink`; that the peer takes a backlog of ours is a sign of life too."""
        self._connection.look_for_progress(backlog=BACKLOG_BYTES)
        return asyncio.get_running_loop().time() - self._connection.heard_at

    async def hear(self) -> Heard:
        """See `SequencedLink`; raises `TransportRefused` where the peer's close code says no."""
        return decode_v2(await self._receive_frame())

    async def say(self, message: Said) -> None:
        """See `SequencedLink` and `hear`; cancelled, the message has been sent whole or not at all."""
        await self._send_frame(encode_v2(message))

    async def close(self, ending: Ending, reason: str) -> None:
        """See `SequencedLink`."""
        await self._close(CLOSE_CODES[ending], reason)
