"""How people see what happens to jobs while it happens: line by line, or as a table that is redrawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from application.operator.progress import JobProgress, Progress, Said
from entrypoints.cli.printing import STYLES, Printer
from entrypoints.cli.texts import duration, one_line, shown, width_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

REFRESHES: Final = 4
"""A second."""
MOST_ROWS: Final = 20
ROOM: Final = 4
"""Lines of a terminal that are left to others."""
_ORDER: Final = {"failed": 0, "running": 1, "canceling": 1, "accepted": 2, "queued": 3}

Clock = Callable[[], float]


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
    """A row for each host. What a single job prints is written above it."""

    def __init__(self, printer: Printer, progress: Progress, clock: Clock = time.time) -> None:
        from rich.console import Console  # noqa: PLC0415 - takes long to import
        from rich.live import Live  # noqa: PLC0415

        self._progress = progress
        self._clock = clock
        self._trouble = ""
        self._console: Console = Console(
            file=printer.out,
            markup=False,
            highlight=False,
            emoji=False,
            no_color=not printer.look.has_colour,
            width=printer.look.columns or None,
        )
        self._live: Live = Live(
            console=self._console,
            get_renderable=self._drawn,
            refresh_per_second=REFRESHES,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        """See `View`."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """See `View`."""
        self._live.stop()

    def said(self, job: JobProgress, said: Said) -> None:  # noqa: ARG002 - the port's
        """See `View`."""
        self._trouble = ""
        if said.step and len(self._progress.jobs) == 1:
            from rich.text import Text  # noqa: PLC0415 - see above

            self._console.print(Text(f"{one_line(said.step)}: {shown(said.text)}"))

    def troubled(self, why: str) -> None:
        """See `View`."""
        self._trouble = f"the control plane is not reached ({one_line(why)}); trying again"

    def _drawn(self) -> RenderableType:
        from rich.table import Table  # noqa: PLC0415 - see above
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=None, pad_edge=False, show_header=False, expand=True)
        for _ in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        # A thread runs this: `sorted` takes all values at once, before it compares any.
        jobs = sorted(self._progress.jobs.values(), key=lambda one: _ORDER.get(one.state, 4))
        most = max(1, min(MOST_ROWS, self._console.height - ROOM))
        now = self._clock()
        for job in jobs[:most]:
            table.add_row(
                Text(one_line(job.host)),
                Text(job.state, style=STYLES.get(job.state, "")),
                Text("" if job.is_over else one_line(job.step)),
                Text(duration(job.seconds(now)) if job.begun_at else ""),
                Text(one_line(job.last_line), style="dim"),
            )
        if len(jobs) > most:
            tally = ", ".join(f"{count} {state}" for state, count in self._progress.tally.items())
            table.add_row(Text(f"... {tally}"))
        if self._trouble:
            table.add_row(Text(self._trouble, style="yellow"))
        return table


def view_for(printer: Printer, progress: Progress) -> View:
    """The best that there is for whoever reads it."""
    if not printer.is_chatty:
        return Silent()
    if printer.look.may_redraw:
        return Redrawn(printer, progress)
    return Plain(printer, progress)
