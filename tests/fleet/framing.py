"""WebSocket frames of the client's side (RFC 6455, section 5), for thousands of links. Sans-I/O.

Strict with what a server sends, and small: a link that is between two messages holds nothing here.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Final

from websockets.utils import apply_mask

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
FIRST_CONTROL: Final = 0x8

MAX_MESSAGE_BYTES: Final = 8 << 20
MAX_FRAGMENTS: Final = 4096
MAX_CONTROL_BYTES: Final = 125

_KNOWN: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})


class FramingFault(Exception):
    """The server broke RFC 6455, or a limit; `code` is what the link is closed with."""

    def __init__(self, text: str, code: int = 1002) -> None:
        super().__init__(text)
        self.code = code


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole message, masked, as a client has to."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    # Against caches that take what they see for requests; there are none here, so any will do.
    mask = random.getrandbits(32).to_bytes(4, "big")
    return head + mask + apply_mask(payload, mask)


def close_payload(code: int, reason: str = "") -> bytes:
    """What a close frame holds."""
    # A character that is cut in half would be no UTF-8.
    cut = reason.encode()[: MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return struct.pack("!H", code) + cut


def read_close(payload: bytes) -> tuple[int | None, str]:
    """Code and reason of a close frame; the code is None where there is none."""
    if not payload:
        return None, ""
    if len(payload) == 1:
        raise FramingFault("a close frame with half a code")
    (code,) = struct.unpack_from("!H", payload)
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError as wrong:
        raise FramingFault("the reason of a close is not UTF-8", 1007) from wrong


class FrameReader:
    """Bytes in, whole messages and control frames out; of no use any more once it has raised."""

    __slots__ = ("_buffer", "_fragments", "_opcode", "_parts", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._opcode = 0
        self._parts: list[bytes] | None = None
        self._fragments = 0
        self._size = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each that is complete now."""
        data = self._buffer + data if self._buffer else data
        at = 0
        try:
            while (found := _frame_at(data, at)) is not None:
                first, start, end = found
                if end > len(data):
                    self._check_size(first, end - start)
                    break
                at = end
                yield from self._take(first, data[start:end])
        finally:
            self._buffer = data[at:]

    def _take(self, first: int, payload: bytes) -> Iterator[tuple[int, bytes]]:
        opcode, is_last = first & 0x0F, bool(first & 0x80)
        if opcode >= FIRST_CONTROL:
            if not is_last or len(payload) > MAX_CONTROL_BYTES:
                raise FramingFault("a control frame that is long, or one of several")
            yield opcode, payload
            return
        self._check_size(first, len(payload))
        if (opcode == CONTINUATION) is (self._parts is None):
            raise FramingFault("fragments of a message do not follow each other")
        if self._parts is None:
            if is_last:
                yield opcode, payload
                return
            self._opcode, self._parts, self._fragments, self._size = opcode, [], 0, 0
        self._parts.append(payload)
        self._size += len(payload)
        self._fragments += 1
        if self._fragments > MAX_FRAGMENTS:
            raise FramingFault(f"a message in more than {MAX_FRAGMENTS} fragments", 1009)
        if is_last:
            whole, self._parts = b"".join(self._parts), None
            yield self._opcode, whole

    def _check_size(self, first: int, length: int) -> None:
        before = self._size if first & 0x0F == CONTINUATION else 0
        if before + length > MAX_MESSAGE_BYTES:
            raise FramingFault(f"a message of more than {MAX_MESSAGE_BYTES} bytes", 1009)


def _frame_at(data: bytes, at: int) -> tuple[int, int, int] | None:
    """First byte, and where the payload begins and ends; None where the head is not complete."""
    if len(data) - at < 2:
        return None
    first, second = data[at], data[at + 1]
    if first & 0x70 or first & 0x0F not in _KNOWN:
        raise FramingFault(f"a frame that begins with {first:#04x}")
    if second & 0x80:
        raise FramingFault("a server masks nothing")
    start, length = at + 2, second
    if length == 126:
        if len(data) - at < 4:
            return None
        (length,) = struct.unpack_from("!H", data, at + 2)
        start = at + 4
    elif length == 127:
        if len(data) - at < 10:
            return None
        (length,) = struct.unpack_from("!Q", data, at + 2)
        start = at + 10
    return first, start, start + length
