r"""The bytes of a journal: records in frames that tell themselves from damage. No I/O.

    file   = header, frames, zeros            all integers little-endian
    header = "ideploy\n", version u32, CRC-32 of both u32
    frame  = F5 "jnl", number u64, length u32, CRC-32 of number, length and payload u32, payload

The byte F5 occurs in no UTF-8 text and payloads are UTF-8 text, so that behind damage the next frame
can be found. Numbers rise by one from 1, so that a frame that is gone is missed. Zeros are space that
was allocated and not used; there is always some, so that a file that was cut is told from one that
ends.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from adapters.journal.versions import MARK_BYTES, has_mark, mark

VERSION: Final = 1
MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024

_MAGIC: Final = b"ideploy\n"
_SYNC: Final = b"\xf5jnl"
_FRAME: Final = struct.Struct("<4sQII")
_CHECKED: Final = struct.Struct("<QI")

HEADER_BYTES: Final = MARK_BYTES


@dataclass(frozen=True, slots=True)
class Scan:
    """What a journal's bytes hold."""

    payloads: list[bytes]
    """Of all intact frames, in order."""
    damaged_bytes: int
    """That are neither header nor intact frames nor unused space."""
    missing: int
    """Frames that are gone, and numbered before one that is there."""
    is_cut: bool
    """The header is gone, or the unused space that every file ends with."""
    end: int
    """Offset at which the next frame belongs."""

    @property
    def is_whole(self) -> bool:
        """Whether all that was ever written is there."""
        return not (self.damaged_bytes or self.missing or self.is_cut)


def header() -> bytes:
    """The first bytes of a file."""
    return mark(_MAGIC, VERSION)


def frame(number: int, payload: bytes) -> bytes:
    """One record's bytes; `payload` is UTF-8 text of at most 16 MiB."""
    assert len(payload) <= MAX_PAYLOAD_BYTES
    return _FRAME.pack(_SYNC, number, len(payload), _crc(number, payload)) + payload


def scan(data: bytes) -> Scan:
    """Everything in `data`, whatever happened to it; raises `NewerVersion`."""
    has_header = has_mark(data, _MAGIC, VERSION)
    position = HEADER_BYTES if has_header else 0
    payloads: list[bytes] = []
    last = damaged = 0
    while (start := data.find(_SYNC, position)) >= 0:
        found = _frame_at(data, start)
        if found is None or found[0] <= last:
            damaged += start + 1 - position
            position = start + 1
            continue
        last, payload = found
        payloads.append(payload)
        damaged += start - position
        position = start + _FRAME.size + len(payload)
    used = max(len(data.rstrip(b"\0")), position)
    return Scan(
        payloads,
        damaged_bytes=damaged + used - position,
        missing=last - len(payloads),
        is_cut=not has_header or used == len(data),
        end=max(used, HEADER_BYTES),
    )


def _frame_at(data: bytes, start: int) -> tuple[int, bytes] | None:
    if len(data) - start < _FRAME.size:
        return None
    _, number, length, crc = _FRAME.unpack_from(data, start)
    if length > MAX_PAYLOAD_BYTES or len(data) - start - _FRAME.size < length:
        return None
    payload = data[start + _FRAME.size : start + _FRAME.size + length]
    return (number, payload) if _crc(number, payload) == crc else None


def _crc(number: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_CHECKED.pack(number, len(payload))))
