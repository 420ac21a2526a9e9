"""What a job printed, held in bounded memory."""

from __future__ import annotations

import codecs
import re
from typing import Final

HEAD_BYTES: Final = 32 * 1024
TAIL_BYTES: Final = 96 * 1024
"""Together 128 KiB: the worst text takes six bytes a byte as JSON, and a response stays under 1 MiB."""

_LOOKS_LIKE_A_CAUSE = re.compile(
    r"\b(error|failed|failure|invalid|denied|unauthorized|not found|no such|cannot|can't|unable|"
    r"undefined|refused|conflict|no space|must|unsupported)\b",
    re.IGNORECASE,
)
_CAUSE_LENGTH: Final = 500


class BoundedOutput:
    """Keeps the first and the last bytes of a stream, and says how many it dropped between them."""

    def __init__(self, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    @property
    def total_bytes(self) -> int:
        """How many bytes were written, kept or not."""
        return self._total

    @property
    def dropped_bytes(self) -> int:
        """How many bytes were not kept."""
        return self._total - len(self._head) - min(len(self._tail), self._tail_bytes)

    def write(self, chunk: bytes) -> None:
        """Add bytes as they were read; a chunk may end anywhere, also inside a character."""
        self._total += len(chunk)
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._tail += chunk
        # Trimmed at twice the size, so that a byte is moved once on average and not at every write.
        if len(self._tail) > 2 * self._tail_bytes:
            del self._tail[: -self._tail_bytes]

    def skip(self, count: int) -> None:
        """Count bytes that were printed and are not there to be written."""
        if count > 0:
            self._head_bytes = len(self._head)
            self._total += count

    def text(self) -> str:
        """The output as text; bytes that are not UTF-8 become U+FFFD."""
        tail = self._tail[-self._tail_bytes :]
        if not self.dropped_bytes:
            return _decode(self._head + tail)
        return (
            f"{_decode(self._head)}\n"
            f"[... {self.dropped_bytes} bytes of output were dropped here ...]\n"
            f"{_decode(tail)}"
        )


def cause_of_failure(output: str) -> str:
    """The line of a failed run's output that most likely says why, at most 500 characters.

    Compose prints the cause last and progress before it, so the last line that sounds like a cause
    wins, and the last line of all where none does.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if _LOOKS_LIKE_A_CAUSE.search(line)]
    if not lines:
        return "it printed nothing"
    return (telling or lines)[-1][:_CAUSE_LENGTH]


def _decode(raw: bytes | bytearray) -> str:
    return codecs.decode(raw, "utf-8", "replace")
