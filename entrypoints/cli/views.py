"""How people see what happens to jobs while it happens: line by line, or as a table that is redrawn."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from application.operator.progress import JobProgress, Progress, Said
from entrypoints.cli.printing import BUSY, GAP, STYLES, Printer
from entrypoints.cli.texts import duration, fitted, one_line, shown, width_of

REFRESHES: Final = 4
"""A second."""
MOST_ROWS: Final = 20
ROOM: Final = 4
"""Lines of a terminal that are left to others."""
_ORDER: Final = {"failed": 0, "running": 1, "canceling": 1, "accepted": 2, "queued": 3}

_HOST: Final = 0
_STEP: Final = 2
LEAST_LAST: Final = 10
"""With fewer columns, the last line of output says nothing."""
HIDE_CURSOR: Final = "\x1b[?25l"
SHOW_CURSOR: Final = "\x1b[?25h"
CLEAR_LINE: Final = "\x1b[K"
CLEAR_BELOW: Final = "\x1b[J"

Clock = Callable[[], float]
Size = Callable[[], os.terminal_size]


class View(Protocol):
    """Is told what happens, in order, between entering and leaving it."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Show nothing more; what stands there stays."""

    def said(self, job: JobProgress, said: Said) -> None:
        """A line was printed, or a state reached."""

    def troubled(self, why: str) -> None:
        """The control plane has to be asked again."""


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        """See `View`."""
        return self

    def __exit__(self, *_: object) -> None:
        """See `View`."""

    def said(self, job: JobProgress, said: Said) -> None:
        """See `View`."""

    def troubled(self, why: str) -> None:
        """See `View`."""


class Plain(Silent):
    """A line for each line, behind its host and step: for logs, pipes, and the simplest terminals."""

    def __init__(self, printer: Printer, progress: Progress) -> None:
        self._printer = printer
        self._width = max(
            (width_of(one_line(job.host)) for job in progress.jobs.values()), default=0
        )

    def said(self, job: JobProgress, said: Said) -> None:
        """See `View`."""
        host = one_line(job.host)
        host += " " * (self._width - width_of(host))
        if said.step:
            self._printer.line(f"{host}  {one_line(said.step)}: {one_line(said.text)}")
        else:
            self._printer.line(f"{host}  {said.text}", STYLES.get(said.text, ""))

    def troubled(self, why: str) -> None:
        """See `View`."""
        self._printer.note(f"the control plane is not reached ({why}); trying again")


class Redrawn:
    """A row for each host. What a single job prints is written above it.

    The cursor waits, hidden, in the line below: there a key that is pressed does the least harm.
    """

    def __init__(
        self,
        printer: Printer,
        progress: Progress,
        clock: Clock = time.time,
        size: Size = shutil.get_terminal_size,
    ) -> None:
        self._printer = printer
        self._progress = progress
        self._clock = clock
        self._size = size
        self._trouble = ""
        self._above: list[str] = []
        self._drawn: list[int] = []
        """The widths of the lines that stand there."""
        self._columns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None

    def __enter__(self) -> Self:
        """See `View`."""
        self._printer.out.write(HIDE_CURSOR)
        self._tick()
        return self

    def __exit__(self, *_: object) -> None:
        """See `View`."""
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        try:
            self._draw()
        finally:
            self._printer.out.write(SHOW_CURSOR)
            self._printer.out.flush()

    def said(self, job: JobProgress, said: Said) -> None:  # noqa: ARG002 - the port's
        """See `View`."""
        self._trouble = ""
        if said.step and len(self._progress.jobs) == 1:
            self._above.append(f"{one_line(said.step)}: {shown(said.text)}")
            if self._soon is None:
                # What comes at once is written at once.
                self._soon = asyncio.get_running_loop().call_soon(self._draw)

    def troubled(self, why: str) -> None:
        """See `View`."""
        self._trouble = f"the control plane is not reached ({one_line(why)}); trying again"

    def _tick(self) -> None:
        self._draw()
        self._timer = asyncio.get_running_loop().call_later(1 / REFRESHES, self._tick)

    def _draw(self) -> None:
        """Write all of it over what stands there."""
        self._soon = None
        columns, height = self._size()
        text = "\r"
        # A terminal that has become narrower has folded the lines.
        if rows := sum(max(1, -(-width // columns)) for width in self._drawn):
            text += f"\x1b[{rows}A"
        if self._above or columns != self._columns:
            text += CLEAR_BELOW
        text += "".join(f"{line}\n" for line in self._above)
        lines = self._lines(columns - 1, max(1, min(MOST_ROWS, height - ROOM)))
        text += "".join(f"{CLEAR_LINE}{styled}\n" for _, styled in lines) + CLEAR_BELOW
        self._above.clear()
        self._drawn, self._columns = [width for width, _ in lines], columns
        self._printer.out.write(text)
        self._printer.out.flush()

    def _lines(self, room: int, most: int) -> list[tuple[int, str]]:
        """Each with its width, and as it is written."""
        jobs = sorted(self._progress.jobs.values(), key=lambda one: _ORDER.get(one.state, 4))
        now = self._clock()
        rows = [
            (
                one_line(job.host),
                job.state,
                "" if job.is_over else one_line(job.step),
                duration(job.seconds(now)) if job.begun_at else "",
                one_line(job.last_line),
            )
            for job in jobs[:most]
        ]
        widths = _shared(rows, room)
        lines = [self._line(row, widths, room) for row in rows]
        rest = []
        if len(jobs) > most:
            tally = ", ".join(f"{count} {state}" for state, count in self._progress.tally.items())
            rest.append((f"... {tally}", ""))
        if self._trouble:
            rest.append((self._trouble, BUSY))
        for text, style in rest:
            cut = fitted(text, room)
            lines.append((width_of(cut), self._printer.styled(cut, style)))
        return lines

    def _line(self, row: Sequence[str], widths: Sequence[int], room: int) -> tuple[int, str]:
        bare = styled = ""
        styles = ("", STYLES.get(row[1], ""), "", "", "dim")
        for cell, width, style in zip(row, widths, styles, strict=True):
            at = width_of(bare)
            space = " " * GAP if bare and width else ""
            cut = fitted(cell, min(width, room - at - len(space)))
            fill = " " * (width - width_of(cut))
            bare += space + cut + fill
            styled += space + self._printer.styled(cut, style) + fill
            if width_of(bare) >= room:
                break
        return width_of(bare.rstrip()), styled.rstrip()


def _shared(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """The columns' widths: the last one has what the others leave, and they leave it some."""
    widths = [max(width_of(cell) for cell in column) for column in zip(*rows, strict=True)]
    _narrow(widths, room - min(widths[-1], LEAST_LAST), ((_HOST, 16), (_STEP, 8)))
    last = room - _taken(widths)
    widths[-1] = min(widths[-1], last) if last >= min(LEAST_LAST, widths[-1]) else 0
    # Which host it is matters more than what it has printed.
    _narrow(widths, room - widths[-1], ((_HOST, 8),))
    return widths


def _taken(widths: Sequence[int]) -> int:
    """By all columns but the last, and by the gaps."""
    return sum(widths[:-1]) + GAP * (sum(1 for width in widths if width) - 1)


def _narrow(widths: list[int], room: int, leasts: Sequence[tuple[int, int]]) -> None:
    """Take from the columns, in order, until all but the last fit, or each has its least width."""
    for column, least in leasts:
        excess = max(0, _taken(widths) - room)
        widths[column] -= min(max(0, widths[column] - least), excess)


def view_for(printer: Printer, progress: Progress) -> View:
    """The best that there is for whoever reads it."""
    if not printer.is_chatty:
        return Silent()
    if printer.look.may_redraw:
        return Redrawn(printer, progress)
    return Plain(printer, progress)
