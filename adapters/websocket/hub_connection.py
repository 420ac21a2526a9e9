"""A WebSocket at a server's end: bytes, frames and time, and nothing of what agents say.

`websockets` parses and frames; the rest of what a server does is here, in callbacks of the event
loop. A connection that is open, and whose other end keeps up, has no task, no queue and no timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, cast

from websockets.datastructures import Headers
from websockets.frames import Frame
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from adapters.websocket.hub_codes import fitting
from adapters.websocket.hub_upgrade import Refused, selected

MAX_MESSAGE_BYTES: Final = 1024 * 1024
STAGE_S: Final = 10.0
CLOSE_S: Final = 3.0
SLOW_LOOK_S: Final = 30.0
SLOW_BYTES: Final = 64 * 1024
"""Who has a backlog, and takes less than this of it between two looks, does not read."""
MOST_PONG_BYTES: Final = 64 * 1024
"""Answers to pings that wait to be sent."""
WHOLE_FRAME_S: Final = 80.0
"""Bytes are a sign of life; but if none of them ends a frame for so long, silence begins to count."""
HIGH_WATER: Final = 64 * 1024

_RESET: Final = struct.pack("ii", 1, 0)
"""Linger, for no time at all."""


class _Framing(ServerProtocol):
    """Selects a version as agents expect, and refuses nobody for offering none."""

    def select_subprotocol(self, subprotocols: object) -> Subprotocol | None:
        return selected(cast(list[str], subprotocols))


class HubConnection(asyncio.Protocol):
    """`is_over` from the moment on at which nothing more is heard or said, `listed` where it is listed."""

    __slots__ = (
        "_heard_at",
        "_held_pongs",
        "_is_deaf",
        "_is_slow",
        "_listed",
        "_loop",
        "_pongs",
        "_timer",
        "_transport",
        "_whole_at",
        "_ws",
        "is_over",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, library_log: logging.Logger, listed: set[object]
    ) -> None:
        self._loop = loop
        self._listed = listed
        self._ws: ServerProtocol = _Framing(max_size=MAX_MESSAGE_BYTES, logger=library_log)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = self._whole_at = loop.time()
        self._is_deaf = False
        self._is_slow = False
        self._pongs = 0
        self._held_pongs: list[bytes] | None = None
        self.is_over = False

    # What whoever makes something of it fills in.

    def asked(self, request: Request) -> None:
        """An upgrade is asked for, and to be answered with `accept` or `refuse`."""
        raise NotImplementedError

    def framed(self, frame: Frame) -> None:
        """A frame has come, while the connection is open."""
        raise NotImplementedError

    def too_slow(self) -> None:
        """What is sent is not read."""
        raise NotImplementedError

    def too_many_pings(self) -> None:
        """More than can be answered."""
        raise NotImplementedError

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`; uvicorn calls it with a transport that was open before."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._listed.add(self)
        self._in(STAGE_S, self._too_late)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._heard_at = self._loop.time()
        self._ws.receive_data(data)
        for event in self._ws.events_received():
            if isinstance(event, Frame):
                self._whole_at = self._heard_at
                if not self.is_over:
                    self.framed(event)
            elif isinstance(event, Request):
                self.asked(event)
        self._answer()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`; the transport closes by itself then."""
        self._ws.receive_eof()
        self._answer()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_slow = True
        if not self.is_over:
            self._look_again()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_slow, self._pongs = False, 0
        if not self.is_over:
            self._in(None)

    def connection_lost(self, _exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._in(None)
        self._listed.discard(self)
        self._transport, self._held_pongs = None, None
        self._is_slow = self.is_over = True

    # What can be done with it.

    @property
    def is_open(self) -> bool:
        """Whether messages pass."""
        return not self.is_over and self._ws.state is State.OPEN

    @property
    def is_writable(self) -> bool:
        """Whether the other end keeps up with what is said to it."""
        return not self._is_slow

    @property
    def silence_s(self) -> float:
        """Seconds since the last sign of life; 0 while it is not listened to."""
        if self._is_deaf:
            return 0.0
        now = self._loop.time()
        return max(now - self._heard_at, now - self._whole_at - WHOLE_FRAME_S)

    def accept(self, response: Response) -> None:
        """Carry the upgrade out, with what `websockets` says to it."""
        self._in(None)
        self._ws.send_response(response)
        self._whole_at = self._loop.time()
        self._write()

    def refuse(self, refusal: Refused) -> None:
        """Answer the upgrade with a refusal; harmless when it has been answered."""
        response = self._ws.reject(refusal.status, refusal.text)
        response.headers.update(Headers(refusal.headers))
        self.answer(response)

    def answer(self, response: Response) -> None:
        """Answer the upgrade with what `websockets` says against it."""
        if not self.is_over and self._ws.state is State.CONNECTING:
            self.is_over = True
            self._ws.send_response(response)
            self._write()

    def send(self, *texts: bytes) -> None:
        """Send messages."""
        if self.is_open:
            for text in texts:
                self._ws.send_text(text)
            self._write()

    def ping(self) -> None:
        """Cause a sign of life."""
        if self.is_open:
            self._ws.send_ping(b"")
            self._write()

    def hold_pongs(self) -> None:
        """Answer no ping until `release_pongs`."""
        if self._held_pongs is None:
            self._held_pongs = []

    def release_pongs(self) -> None:
        """Answer the pings that were held."""
        held, self._held_pongs = self._held_pongs, None
        if held:
            self._put(b"".join(held))

    def pause_hearing(self) -> None:
        """Read nothing more."""
        if not self._is_deaf and not self.is_over and self._transport is not None:
            self._is_deaf = True
            self._transport.pause_reading()

    def resume_hearing(self) -> None:
        """Read again."""
        if self._is_deaf:
            self._is_deaf = False
            self._heard_at = self._whole_at = self._loop.time()
            if self._transport is not None:
                self._transport.resume_reading()

    def say_last(self, code: int, reason: str, *texts: bytes) -> None:
        """Send messages and a close frame, and end it in bounded time."""
        if not self.is_open:
            self.cut()
            return
        for text in texts:
            self._ws.send_text(text)
        self._ws.send_close(code, fitting(reason))
        self.is_over = True
        self.resume_hearing()  # For its answer.
        self._write()
        self._in(CLOSE_S, self.cut)

    def fail(self, code: int, reason: str) -> None:
        """End it for what the other end has done wrong; to be called while it is heard."""
        self._ws.fail(code, reason)
        self.is_over = True

    def cut(self) -> None:
        """End it now, with a reset: an ordinary end would wait for what the other end does not take."""
        self.is_over = True
        if self._transport is None:
            return
        link = self._transport.get_extra_info("socket")
        if link is not None:
            with contextlib.suppress(OSError, TypeError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    # Writing.

    def _answer(self) -> None:
        """Send what the library has to say to what came: pongs, and the end of the connection."""
        answer = self._ws.data_to_send()
        if answer and self._ws.state is State.OPEN:
            self._pong(b"".join(answer))
        elif answer:
            self._pass_on(answer)

    def _pong(self, pongs: bytes) -> None:
        if self._held_pongs is not None:
            self._held_pongs.append(pongs)
        else:
            self._put(pongs)
        if not self._is_slow and self._held_pongs is None:
            self._pongs = 0
            return
        self._pongs += len(pongs)
        if self._pongs > MOST_PONG_BYTES:
            self.too_many_pings()

    def _put(self, data: bytes) -> None:
        # One transport says nothing when it is closed already, and another raises.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _write(self) -> None:
        self._pass_on(self._ws.data_to_send())

    def _pass_on(self, chunks: list[bytes]) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if text := b"".join(chunks):
            self._put(text)
        if b"" in chunks:  # The library's word for the end.
            self.is_over = True
            # What the other end is still sending is read, and thrown away: closed upon it, the
            # socket would be reset, and it would not see why.
            self.resume_hearing()
            if transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()
            self._in(CLOSE_S, self.cut)

    # Time.

    def _in(self, seconds: float | None, act: Callable[[], None] | None = None) -> None:
        """Have one timer, or none."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if seconds is not None and act is not None and self._transport is not None:
            self._timer = self._loop.call_later(seconds, act)

    def _too_late(self) -> None:
        self.refuse(Refused(HTTPStatus.SERVICE_UNAVAILABLE, "This took too long.\n"))

    def _look_again(self) -> None:
        if self._transport is not None:
            backlog = self._transport.get_write_buffer_size()
            self._in(SLOW_LOOK_S, lambda: self._look(backlog))

    def _look(self, backlog: int) -> None:
        if self._transport is None or self.is_over:
            return
        if backlog - self._transport.get_write_buffer_size() < SLOW_BYTES:
            self.too_slow()
        else:
            self._look_again()
