"""WebSocket messages as they pass: read from a stream as raw bytes, with a look at what is in them."""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import dataclass
from typing import Any, Final

from websockets.utils import apply_mask

FIN: Final = 0x80
MASKED: Final = 0x80
FIRST_CONTROL_OPCODE: Final = 0x8
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA


@dataclass(frozen=True)
class Unit:
    """One control frame, or one whole message with all its fragments: the bytes that were sent."""

    opcode: int
    raw: bytes
    payload: bytes

    @property
    def is_control(self) -> bool:
        return self.opcode >= FIRST_CONTROL_OPCODE


class UnitReader:
    """Takes one direction of a connection apart, once it speaks WebSocket (RFC 6455, section 5.2).

    It judges nothing: what is not allowed passes too.
    """

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._opcode = 0
        self._raw = b""
        self._payload = b""

    async def next(self) -> Unit:
        """The next one; raises `IncompleteReadError` at the end of the stream."""
        while True:
            first, raw, payload = await self._frame()
            opcode = first & 0x0F
            if opcode >= FIRST_CONTROL_OPCODE:
                return Unit(opcode, raw, payload)
            self._opcode = opcode or self._opcode
            self._raw += raw
            self._payload += payload
            if first & FIN:
                whole = Unit(self._opcode, self._raw, self._payload)
                self._opcode, self._raw, self._payload = 0, b"", b""
                return whole

    async def _frame(self) -> tuple[int, bytes, bytes]:
        raw = await self._stream.readexactly(2)
        first, second = raw
        length = second & 0x7F
        if length >= 126:
            size, form = (2, "!H") if length == 126 else (8, "!Q")
            extended = await self._stream.readexactly(size)
            (length,) = struct.unpack(form, extended)
            raw += extended
        if not second & MASKED:
            payload = await self._stream.readexactly(length)
            return first, raw + payload, payload
        mask = await self._stream.readexactly(4)
        masked = await self._stream.readexactly(length)
        return first, raw + mask + masked, apply_mask(masked, mask)


def text_object(payload: bytes) -> dict[str, Any]:
    """The JSON object that a payload is; an empty one where it is none."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
