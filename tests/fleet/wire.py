"""One link of a simulated agent: a socket, its upgrade, its frames, and the ways in which it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, replace
from typing import Final, Protocol, cast

from tests.fleet import framing
from tests.fleet.framing import FrameReader, FramingFault, close_payload, frame, read_close
from tests.fleet.upgrade import Caller, Target, UpgradeFault, chosen, new_key, read_answer, request

HIGH_WATER_BYTES: Final = 256 << 10
"""With so much unsent, a link says that it is full."""
CLOSE_S: Final = 2.0
"""So long a server gets to answer a close frame."""
ABNORMAL: Final = 1006
"""What stands for the code of a link that ended without a close frame (RFC 6455, 7.1.5)."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """How a link ended, or came to nothing. `code` is 0 where it was never open."""

    code: int = 0
    reason: str = ""
    status: int = 0
    """Of HTTP, where the server refused the upgrade."""
    retry_after_s: float = 0.0
    fault: str = ""
    """What the server did wrong."""
    is_ours: bool = False
    """Whether it was this side that wanted it."""


class Owner(Protocol):
    """Who is told what happens on a link. Nothing is told after `ended`, which comes once."""

    def connected(self, link: Link) -> None:
        """There is a connection; the upgrade request is on its way."""

    def opened(self, subprotocol: str) -> None:
        """The upgrade is done."""

    def heard(self, text: str) -> None:
        """A message."""

    def heard_all(self) -> None:
        """All that came at once was told."""

    def has_room(self) -> None:
        """`is_full` is over."""

    def ponged(self, payload: bytes) -> None:
        """The answer to a ping."""

    def ended(self, end: LinkEnd) -> None:
        """The link is gone."""


class Link(asyncio.Protocol):
    """To be given to a loop's `create_connection`."""

    __slots__ = (
        "_close_timer",
        "_end",
        "_head",
        "_key",
        "_owner",
        "_reader",
        "_target_and_caller",
        "_transport",
        "heard_at",
        "is_full",
        "is_open",
        "settled",
    )

    def __init__(self, owner: Owner, target: Target, caller: Caller) -> None:
        self._owner: Owner | None = owner
        self._target_and_caller: tuple[Target, Caller] | None = (target, caller)
        self._transport: asyncio.Transport | None = None
        self._reader: FrameReader | None = None
        self._head = b""
        self._key = ""
        self._end: LinkEnd | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self.is_open = False
        self.is_full = False
        self.settled: asyncio.Future[None] | None = None
        """Done once the upgrade is, or has failed."""
        self.heard_at = 0.0
        """When something came last, on the loop's clock."""

    # What the owner can do.

    def send(self, text: str) -> None:
        """Send a message; nothing where the link is not open."""
        self._write(framing.TEXT, text.encode())

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping."""
        self._write(framing.PING, payload)

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are, which may be no frame."""
        if self.is_open and self._transport is not None:
            self._transport.write(data)

    def disown(self) -> None:
        """Tell nobody anything any more."""
        self._owner = None

    def stop_reading(self) -> None:
        """Take nothing from the socket from now on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on_reading(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self, code: int, reason: str = "") -> None:
        """Close in order; harmless again."""
        if self._end is not None or self._transport is None:
            return
        self._end = LinkEnd(code, reason, is_ours=True)
        if not self.is_open:
            self._transport.abort()
            return
        self._say_last(close_payload(code, reason))

    def cut(self) -> None:
        """End it as a crash does: the server gets a reset instead of a close frame."""
        if self._transport is None or self._transport.is_closing():
            return
        self._end = self._end or LinkEnd(ABNORMAL, "cut", is_ours=True)
        self.is_open = False
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def hang_up(self) -> None:
        """End it without a close frame, behind all that was sent."""
        if self._transport is None or self._transport.is_closing():
            return
        self._end = self._end or LinkEnd(ABNORMAL, "hung up", is_ours=True)
        self.is_open = False
        self._transport.close()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert self._target_and_caller is not None
        # uvloop's is one in all but its class.
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self.heard_at = asyncio.get_running_loop().time()
        self._key = new_key()
        transport.write(request(*self._target_and_caller, self._key))
        if self._owner is not None:
            self._owner.connected(self)

    def data_received(self, data: bytes) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        if self._end is not None and self._end.fault:
            return
        try:
            if self._reader is None:
                self._read_head(data)
            else:
                self._read_frames(data)
        except FramingFault as wrong:
            self._give_up(wrong.code, str(wrong))
        except UpgradeFault as wrong:
            self._give_up(1002, str(wrong))

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        if self._owner is not None and self.is_open:
            self._owner.has_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._settle()
        if self._close_timer is not None:
            self._close_timer.cancel()
        owner, self._owner, self._transport, self._close_timer = self._owner, None, None, None
        if owner is not None:
            end = self._end or LinkEnd(ABNORMAL, str(exc or "end of file"))
            owner.ended(end if self._reader is not None else replace(end, code=0))

    def _settle(self) -> None:
        settled, self.settled = self.settled, None
        if settled is not None and not settled.done():
            settled.set_result(None)

    def _read_head(self, data: bytes) -> None:
        self._head += data
        answer = read_answer(self._head)
        if answer is None:
            return
        self._head = b""
        assert self._target_and_caller is not None
        assert self._transport is not None
        if answer.status != 101:
            self._end = LinkEnd(
                status=answer.status,
                reason=f"HTTP {answer.status}",
                retry_after_s=answer.retry_after_s,
            )
            self._transport.abort()
            return
        subprotocol = chosen(answer, self._key, self._target_and_caller[1].offer)
        self._reader = FrameReader()
        self._target_and_caller = None
        self.is_open = True
        self._settle()
        if self._owner is not None:
            self._owner.opened(subprotocol)
        if answer.rest:
            self._read_frames(answer.rest)

    def _read_frames(self, data: bytes) -> None:
        assert self._reader is not None
        for opcode, payload in self._reader.feed(data):
            if opcode == framing.TEXT and self.is_open and self._owner is not None:
                self._owner.heard(_text(payload))
            elif opcode == framing.BINARY:
                raise FramingFault("a binary message", 1002)
            elif opcode == framing.PING:
                self._write(framing.PONG, payload)
            elif opcode == framing.PONG and self._owner is not None:
                self._owner.ponged(payload)
            elif opcode == framing.CLOSE:
                self._closed_by_peer(payload)
                return
        if self.is_open and self._owner is not None:
            self._owner.heard_all()

    def _closed_by_peer(self, payload: bytes) -> None:
        code, reason = read_close(payload)
        assert self._transport is not None
        if self._end is None:
            self._end = LinkEnd(code or 1005, reason)
            self._say_last(close_payload(code or 1000))
        self._transport.close()

    def _give_up(self, code: int, fault: str) -> None:
        assert self._transport is not None
        self._end = LinkEnd(code, fault, fault=fault, is_ours=True)
        if self.is_open:
            self._say_last(close_payload(code, fault))
        self._transport.close()

    def _say_last(self, payload: bytes) -> None:
        """Send a close frame, and see to it that the end comes whether it is read or not."""
        assert self._transport is not None
        self._write(framing.CLOSE, payload)
        self.is_open = False
        loop = asyncio.get_running_loop()
        self._close_timer = loop.call_later(CLOSE_S, self._transport.abort)

    def _write(self, opcode: int, payload: bytes) -> None:
        if not self.is_open or self._transport is None:
            return
        if self._transport.is_closing():  # It has failed; `connection_lost` is on its way.
            self.is_open = False
            return
        self._transport.write(frame(opcode, payload))


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as wrong:
        raise FramingFault("a text that is not UTF-8", 1007) from wrong
