"""Sorted slots in an open file, searched where they lie. Blocking.

They are read with `pread` and not through a mapping: a disk that cannot read a page is then an error,
where a mapping would have the process killed.
"""

from __future__ import annotations

import errno
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from adapters.journal import tombstone_format as form
from adapters.journal.files import LocalFiles
from adapters.journal.tombstone_format import HEADER_BYTES, KEY_BYTES, SLOT_BYTES

_SLOTS_A_PIECE: Final = 16 * 1024


class Slots:
    """`count` slots in the file that `fd` is, which is closed with it."""

    def __init__(self, files: LocalFiles, fd: int, count: int, crc: int) -> None:
        self._files = files
        self._fd = fd
        self._count = count
        self._crc = crc

    @property
    def is_whole(self) -> bool:
        """Whether every byte is what was written. Reads all of them."""
        crc = 0
        for piece in self.pieces(0, self._count):
            crc = zlib.crc32(piece, crc)
        return crc == self._crc

    def find(self, key: bytes) -> tuple[int, bytes | None]:
        """Where the slot with this key is or belongs, and the slot. Raises `OSError`."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            slot = self._slot(middle)
            if slot[:KEY_BYTES] == key:
                return middle, slot
            if slot[:KEY_BYTES] < key:
                low = middle + 1
            else:
                high = middle
        return low, None

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        """The slots from one place to before another, many at a time, as they are."""
        for place in range(start, stop, _SLOTS_A_PIECE):
            count = min(_SLOTS_A_PIECE, stop - place)
            position = HEADER_BYTES + place * SLOT_BYTES
            yield self._files.read(self._fd, count * SLOT_BYTES, position)

    def with_more(self, new: Sequence[tuple[int, bytes]]) -> Iterator[bytes]:
        """All slots, and each new one before the place it is given with; `new` is sorted.

        Raises `OSError` at the end where what is here is not what was written.
        """
        crc, start = 0, 0
        for place, slot in (*new, (self._count, b"")):
            for piece in self.pieces(start, place):
                crc = zlib.crc32(piece, crc)
                yield piece
            yield slot
            start = place
        if crc != self._crc:
            raise OSError(errno.EIO, "what it holds was spoilt after it was opened")

    def close(self) -> None:
        """Let go of the file."""
        self._files.close(self._fd)

    def _slot(self, place: int) -> bytes:
        slot = self._files.read(self._fd, SLOT_BYTES, HEADER_BYTES + place * SLOT_BYTES)
        if not form.is_intact(slot):
            raise OSError(errno.EIO, "what it holds was spoilt after it was opened")
        return slot


def write_slots(files: LocalFiles, fd: int, pieces: Iterable[bytes]) -> tuple[int, int]:
    """Fill a file with slots that come in order; returns how many there are, and their checksum."""
    end, crc = HEADER_BYTES, 0
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= _SLOTS_A_PIECE * SLOT_BYTES:
            files.write(fd, buffer, end)
            end, crc = end + len(buffer), zlib.crc32(buffer, crc)
            buffer = bytearray()
    files.write(fd, buffer, end)
    end, crc = end + len(buffer), zlib.crc32(buffer, crc)
    count = (end - HEADER_BYTES) // SLOT_BYTES
    files.write(fd, form.header(count, crc), 0)
    return count, crc


def intact_slots(files: LocalFiles, fd: int, size: int) -> tuple[list[bytes], int]:
    """What is left of a damaged file of that size, sorted, and how many slots are spoilt."""
    places = range(HEADER_BYTES, size, SLOT_BYTES)
    slots = (files.read(fd, SLOT_BYTES, place) for place in places)
    intact = sorted({slot[:KEY_BYTES]: slot for slot in slots if _is_slot(slot)}.values())
    return intact, len(places) - len(intact)


def _is_slot(data: bytes) -> bool:
    return len(data) == SLOT_BYTES and form.is_intact(data)
