"""Lines, out of output that comes in pieces."""

from __future__ import annotations

import codecs
from typing import Final

LONGEST_LINE: Final = 4096
"""In characters; a longer line is told in parts."""


class Lines:
    """Of one attempt at one step. Bytes that are no UTF-8 become U+FFFD; also at a place that is missed."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._next = 0

    def feed(self, content: bytes, offset: int) -> list[str]:
        """The lines that end in this piece, which begins at `offset`; what was fed already is skipped."""
        end = offset + len(content)
        if offset < self._next:
            content = content[self._next - offset :]
        elif offset > self._next:
            self._decoder.reset()
        self._next = max(self._next, end)
        return self._split(self._decoder.decode(content))

    def end(self) -> list[str]:
        """What was left without a line break, at the end of everything."""
        lines = self._split(self._decoder.decode(b"", final=True))
        rest, self._rest = _shown(self._rest), ""
        return [*lines, rest] if rest else lines

    def _split(self, text: str) -> list[str]:
        *lines, self._rest = (self._rest + text).split("\n")
        while len(self._rest) > LONGEST_LINE:
            lines.append(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]
        return [_shown(line) for line in lines]


def _shown(line: str) -> str:
    """What a terminal would have left of it: a progress bar overwrites itself, by carriage returns."""
    return line.rstrip("\r").rpartition("\r")[2]
