"""What the program says: tables for people, documents for programs, and never a terminal's commands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any, Final

from entrypoints.cli.texts import one_line, shown, width_of

NARROWEST: Final = 20
GAP: Final = 2
GOOD: Final = "green"
BAD: Final = "red"
BUSY: Final = "yellow"
STYLES: Final = {
    "succeeded": GOOD, "online": GOOD, "healthy": GOOD, "good": GOOD, "running": BUSY,
    "failed": BAD, "offline": BAD, "unhealthy": BAD, "canceled": BAD, "expired": BAD,
    "superseded": BAD, "partial": BAD, "queued": BUSY, "accepted": BUSY, "canceling": BUSY,
}  # fmt: skip
_CODES: Final = {GOOD: "32", BAD: "31", BUSY: "33", "bold": "1", "dim": "2"}

Row = Sequence[str]


class Output(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Look:
    """What the terminal is; `columns` is 0 where there is none, and lines are as long as they are."""

    columns: int = 0
    has_colour: bool = False
    may_redraw: bool = False


@dataclass(frozen=True, slots=True)
class Printer:
    """Writes results to `out`, and all else to `err`."""

    out: IO[str]
    err: IO[str]
    output: Output = Output.TABLE
    is_quiet: bool = False
    look: Look = Look()

    @property
    def is_json(self) -> bool:
        """Whether results are documents."""
        return self.output is Output.JSON

    @property
    def is_chatty(self) -> bool:
        """Whether somebody wants to read more than the result."""
        return not self.is_json and not self.is_quiet

    def document(self, document: Any) -> None:
        """A result, for programs."""
        self.out.write(json.dumps(document, indent=2) + "\n")
        self.out.flush()

    def line(self, text: str = "", style: str = "") -> None:
        """A line of a result."""
        self.out.write(self.styled(shown(text), style) + "\n")
        self.out.flush()

    def note(self, text: str) -> None:
        """Something beside the result; not said where nobody wants to read it."""
        if self.is_chatty:
            self.err.write(shown(text) + "\n")
            self.err.flush()

    def complain(self, text: str) -> None:
        """Something that must be said."""
        self.err.write(shown(text) + "\n")
        self.err.flush()

    def names(self, names: Iterable[str]) -> None:
        """What is left of a result where it is to be quiet."""
        for name in names:
            self.out.write(one_line(name) + "\n")
        self.out.flush()

    def table(self, headings: Row, rows: Sequence[Row], empty: str = "Nothing.") -> None:
        """Rows below their headings; on a terminal too narrow for that, each row as a block."""
        if not rows:
            self.line(empty)
            return
        cells = [[one_line(cell) for cell in row] for row in rows]
        widths = [
            max(width_of(cell) for cell in column) for column in zip(headings, *cells, strict=True)
        ]
        total = sum(widths) + GAP * (len(widths) - 1)
        if self.look.columns and total > max(self.look.columns, NARROWEST):
            self._blocks(headings, cells)
            return
        self._row([self.styled(one, "bold") for one in headings], headings, widths)
        for row in cells:
            self._row([self.styled(cell, STYLES.get(cell, "")) for cell in row], row, widths)
        self.out.flush()

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and values, below each other."""
        cells = [(name, shown(value)) for name, value in pairs]
        width = max((width_of(name) for name, _ in cells), default=0)
        for name, value in cells:
            first, *others = value.split("\n")
            head = self.styled(name, "bold") + " " * (width - width_of(name) + GAP)
            self.out.write(f"{head}{self.styled(first, STYLES.get(first, ''))}".rstrip() + "\n")
            self.out.writelines(" " * (width + GAP) + other + "\n" for other in others)
        self.out.flush()

    def styled(self, text: str, style: str) -> str:
        """In colour, where the terminal has some; `text` is harmless."""
        if not style or not self.look.has_colour or not text:
            return text
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m"

    def _blocks(self, headings: Row, rows: Iterable[Row]) -> None:
        for number, row in enumerate(rows):
            if number:
                self.out.write("\n")
            self.fields(zip(headings, row, strict=True))

    def _row(self, styled: Row, plain: Row, widths: Sequence[int]) -> None:
        cells = [
            text + " " * (width - width_of(bare))
            for text, bare, width in zip(styled, plain, widths, strict=True)
        ]
        self.out.write((" " * GAP).join(cells).rstrip() + "\n")
