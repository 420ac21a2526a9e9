"""What the program says: tables for people, documents for programs, and never a terminal's commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any, Final

from entrypoints.cli.texts import fitted, folded, one_line, shown, width_of

NARROWEST: Final = 20
GAP: Final = 2
LONGEST_CUT: Final = 100
"""So much is shown, at most, of what a table does not show whole."""
SHORTEST_CUT: Final = 20
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
    measure: Callable[[], int] | None = None
    """How many columns there are by now."""


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

    @property
    def columns(self) -> int:
        """Of the terminal, as it is now; 0 where there is none."""
        return self.look.measure() if self.look.measure else self.look.columns

    def document(self, document: Any) -> None:
        """A result, for programs."""
        self.out.write(json.dumps(document, indent=2) + "\n")
        self.out.flush()

    def line(self, text: str = "", style: str = "") -> None:
        """A line of a result."""
        self.out.write(self.styled(shown(text), style) + "\n")
        self.out.flush()

    def text(self, text: str) -> None:
        """A result of many lines that is to be kept as it is; its last one ends with a newline."""
        self.out.write(shown(text))
        self.out.flush()

    def prose(self, text: str, style: str = "") -> None:
        """A sentence of a result: on a terminal, it is folded."""
        for line in self._folded(text):
            self.line(line, style)

    def note(self, text: str) -> None:
        """Something beside the result; not said where nobody wants to read it."""
        if self.is_chatty:
            self.complain(text)

    def complain(self, text: str) -> None:
        """Something that must be said."""
        self.err.write(self.sentence(text) + "\n")
        self.err.flush()

    def command(self, text: str) -> None:
        """What is to be copied, beside a result that is a document; it is never folded."""
        self.err.write(shown(text) + "\n")
        self.err.flush()

    def sentence(self, text: str) -> str:
        """As it is written to `err`: harmless, and folded where that is a terminal."""
        return "\n".join(self._folded(text)) if self.err.isatty() else shown(text)

    def names(self, names: Iterable[str]) -> None:
        """What is left of a result where it is to be quiet."""
        for name in names:
            self.out.write(one_line(name) + "\n")
        self.out.flush()

    def table(
        self,
        headings: Row,
        rows: Sequence[Row],
        empty: str = "Nothing.",
        *,
        is_last_cut: bool = False,
    ) -> None:
        """Rows below their headings; on a terminal too narrow for that, each row as a block.

        With `is_last_cut`, the last column is cut to what there is room for, if that is not too little.
        """
        if not rows:
            self.prose(empty)
            return
        cells = [[one_line(cell) for cell in row] for row in rows]
        columns = self.columns
        widths = _widths(headings, cells)
        if is_last_cut:
            room = columns - sum(widths[:-1]) - GAP * (len(widths) - 1)
            is_tight = columns > 0 and room < SHORTEST_CUT
            width = room if columns and not is_tight else LONGEST_CUT
            cells = [[*row[:-1], fitted(row[-1], width)] for row in cells]
            widths = _widths(headings, cells)
        total = sum(widths) + GAP * (len(widths) - 1)
        if columns and total > max(columns, NARROWEST):
            self._blocks(headings, cells)
            return
        self._row([self.styled(one, "bold") for one in headings], headings, widths)
        for row in cells:
            self._row([self.styled(cell, STYLES.get(cell, "")) for cell in row], row, widths)
        self.out.flush()

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and values, below each other; on a terminal, values are folded."""
        cells = [(name, shown(value)) for name, value in pairs]
        width = max((width_of(name) for name, _ in cells), default=0)
        columns = self.columns
        for name, value in cells:
            lines = folded(value, columns - width - GAP) if columns else value.split("\n")
            first, *others = lines
            head = self.styled(name, "bold") + " " * (width - width_of(name) + GAP)
            self.out.write(f"{head}{self.styled(first, STYLES.get(first, ''))}".rstrip() + "\n")
            self.out.writelines(" " * (width + GAP) + other + "\n" for other in others)
        self.out.flush()

    def styled(self, text: str, style: str) -> str:
        """In colour, where the terminal has some; `text` is harmless."""
        if not style or not self.look.has_colour or not text:
            return text
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m"

    def _folded(self, text: str) -> list[str]:
        columns = self.columns
        return folded(shown(text), columns) if columns else [shown(text)]

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


def _widths(headings: Row, rows: Sequence[Row]) -> list[int]:
    return [max(width_of(cell) for cell in column) for column in zip(headings, *rows, strict=True)]
