"""What one attempt at one step of a job printed, put together from the pieces that came."""

from __future__ import annotations

import hashlib
from typing import Any, Final

HEAD_BYTES: Final = 4 << 20
"""What is kept of a step's output from its beginning; behind it, a piece may be missing for good."""


class OutputDiffers(Exception):
    """A byte that came twice was not the same, or the whole is not what it was said to be."""


class JobOutput:
    """Pieces by offset. The same bytes may come any number of times, and in any order."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, bytearray]] = []

    @property
    def position(self) -> int:
        """The byte up to which, but not including it, there is all that will ever come."""
        end = 0
        for start, piece in self._pieces:
            if start > end and end != HEAD_BYTES:
                break
            end = start + len(piece)
        return end

    @property
    def has_gap(self) -> bool:
        """Whether something behind `position` has come already."""
        return bool(self._pieces) and self._end > self.position

    @property
    def _end(self) -> int:
        start, piece = self._pieces[-1]
        return start + len(piece)

    @property
    def pieces(self) -> list[tuple[int, bytes]]:
        """What there is, in order, without overlaps."""
        return [(start, bytes(piece)) for start, piece in self._pieces]

    def take(self, offset: int, chunk: bytes) -> None:
        """Add a chunk; raises `OutputDiffers` where it contradicts what came before."""
        end = offset + len(chunk)
        touched = [(s, p) for s, p in self._pieces if s <= end and offset <= s + len(p)]
        for start, piece in touched:
            low, high = max(start, offset), min(start + len(piece), end)
            if low >= high:
                continue
            if piece[low - start : high - start] != chunk[low - offset : high - offset]:
                raise OutputDiffers(f"bytes {low} to {high} came again and are not the same")
        if len(touched) == 1 and touched[0][0] <= offset:  # The usual case: it goes on at the end.
            start, piece = touched[0]
            piece.extend(chunk[start + len(piece) - offset :] if end > start + len(piece) else b"")
            return
        self._pieces = sorted(
            [one for one in self._pieces if one not in touched]
            + [_joined([*touched, (offset, bytearray(chunk))])],
            key=lambda one: one[0],
        )

    def is_complete(self, summary: dict[str, Any]) -> bool:
        """Whether all that was kept has come; raises `OutputDiffers` where it is not what was said.

        `summary` is this attempt's entry in the final response. Of an attempt that was interrupted,
        nobody knows how much it printed.
        """
        if summary["exit_code"] is None and not summary["sha256"]:
            return True
        length, pieces = summary["length"], self._pieces
        end = self._end if pieces else 0
        if end > length:
            raise OutputDiffers(f"{end} bytes came of an output that has {length}")
        if length == 0:
            whole = b""
        elif not pieces or pieces[0][0] > 0 or end < length or self.position < length:
            return False
        elif summary["truncated"]:
            return True
        elif len(pieces) > 1:
            return False
        else:
            whole = bytes(pieces[0][1])
        if hashlib.sha256(whole).hexdigest() != summary["sha256"]:
            raise OutputDiffers("the SHA-256 is another one")
        return True


def _joined(pieces: list[tuple[int, bytearray]]) -> tuple[int, bytearray]:
    start = min(one for one, _ in pieces)
    whole = bytearray(max(one + len(piece) for one, piece in pieces) - start)
    for one, piece in pieces:
        whole[one - start : one - start + len(piece)] = piece
    return start, whole
