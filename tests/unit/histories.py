"""Records as an agent writes them down, in orders that can come to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from hypothesis import strategies as st

from domain.commands import CheckHealth, Command, DeployCompose, GetStatus, StopCompose, digest_of
from domain.job import JobState, is_terminal
from domain.ledger import Ledger
from domain.project import ComposeFile, ProjectName
from domain.records import (
    CancelRequested,
    EpochBegun,
    JobAccepted,
    JobFinished,
    JobRejected,
    JobRepeated,
    Moment,
    PeerConfirmed,
    PeerMet,
    ProcessIdentity,
    Record,
    ResultsDelivered,
    StepExit,
    StepExited,
    StepStarted,
    StepStarting,
)

ENDS = [state for state in JobState if is_terminal(state)]
_PROJECTS = [ProjectName("blog"), ProjectName("Shop"), ProjectName("wiki")]


def accepted(
    job_id: str, command: Command | None = None, *, seq: int | None = None, **more: Any
) -> JobAccepted:
    """A job that changes something, where it does not matter what."""
    command = command or StopCompose(_PROJECTS[0])
    return JobAccepted(
        job_id, command, digest_of(command), Moment("boot", 1.0), peer_seq=seq, **more
    )


def finished(
    job_id: str, state: JobState = JobState.SUCCEEDED, *, logs: str = "", at: float = 0.0
) -> JobFinished:
    """The end of a job."""
    error = "" if state is JobState.SUCCEEDED else "no"
    return JobFinished(job_id, state, logs, error, {}, at)


def replayed(records: list[Record]) -> Ledger:
    """What the records amount to."""
    ledger = Ledger()
    for record in records:
        ledger.apply(record)
    return ledger


def content(ledger: Ledger) -> dict[str, Any]:
    """All that a ledger knows, with the orders that matter."""
    found = vars(ledger).copy()
    for name in ("jobs", "notices"):
        found[name] = [(key, asdict(value)) for key, value in found[name].items()]
    found["finish_order"] = list(found["finish_order"])
    return found


@st.composite
def histories(draw: st.DrawFn, *, least: int = 0, most: int = 60) -> list[Record]:
    """A new journal, and what an agent may have written to it by some moment."""
    writer = _Writer(draw)
    for _ in range(draw(st.integers(least, most))):
        writer.write_one()
    return writer.records


class _Writer:
    """Writes what is possible at each moment. The ledger is asked only where numbers stand."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._ledger = Ledger()
        self._epochs = 0
        self._heard_from = 0
        self._texts = 0
        self.records: list[Record] = []
        self._write(EpochBegun("agent-0"))

    def write_one(self) -> None:
        possible: list[Callable[[], None]] = [self._accept, self._accept, self._reject, self._begin]
        if any(True for _ in self._ledger.open_jobs()):
            possible += [self._step, self._step, self._finish, self._cancel]
        if self._ledger.jobs:
            possible.append(self._repeat)
        if self._ledger.next_seq > 1:
            possible.append(self._confirm)
        if self._ledger.finish_order and not self._ledger.peer_epoch:
            possible.append(self._deliver)
        self._draw(st.sampled_from(possible))()

    def _write(self, record: Record) -> None:
        self.records.append(record)
        self._ledger.apply(record)

    def _some(self, few: list[Any]) -> Any:
        return self._draw(st.sampled_from(few))

    def _text(self, prefix: str) -> str:
        self._texts += 1
        return f"{prefix}-{self._texts}"

    def _seq(self, *, may_be_missing: bool = True) -> int | None:
        """The next of the peer's, or one a little later: what it came before is still being written."""
        if may_be_missing and not self._ledger.peer_epoch:
            return None
        unheard = [seq for seq in range(1, 300) if not self._ledger.has_heard(seq)]
        return unheard[self._draw(st.integers(0, 2))]

    def _accept(self) -> None:
        project = self._some(_PROJECTS)
        command: Command = self._some(
            [
                DeployCompose(project, ComposeFile(b"#")),
                StopCompose(project),
                GetStatus(project),
                CheckHealth(),
            ]
        )
        self._write(
            JobAccepted(
                self._text("job"),
                command,
                digest_of(command),
                Moment("boot", self._draw(st.floats(0, 1e6))),
                peer_seq=self._seq(),
                generation=self._draw(st.none() | st.integers(1, 9)),
                deadline_s=self._draw(st.none() | st.floats(1, 1e6)),
            )
        )

    def _reject(self) -> None:
        if (seq := self._seq(may_be_missing=False)) is not None:
            self._write(JobRejected(self._text("none"), "busy", "not now", seq, {"field": "id"}))

    def _repeat(self) -> None:
        job = self._some(list(self._ledger.jobs.values()))
        if (seq := self._seq(may_be_missing=False)) is not None:
            self._write(JobRepeated(job.job_id, seq, job.state))

    def _cancel(self) -> None:
        job_id = self._some([*self._ledger.jobs, "nobody"])
        self._write(CancelRequested(job_id, self._seq()))

    def _step(self) -> None:
        job = self._some(list(self._ledger.open_jobs()))
        running = next((each for each in job.attempts if not each.is_over), None)
        if running is None:
            step = self._some(["validate", "apply"])
            number = len(job.attempts_at(step)) + 1
            self._write(StepStarting(job.job_id, step, number, self._text("token"), "boot"))
            return
        where = (job.job_id, running.step, running.number)
        ends = [None, StepExit(0, 3, "ab", 3), StepExit(-15, ended_by="cancel")]
        self._write(
            StepStarted(*where, ProcessIdentity(1, 2, "boot"))
            if running.process is None
            else StepExited(*where, self._some(ends))
        )

    def _finish(self) -> None:
        job = self._some(list(self._ledger.open_jobs()))
        logs = self._draw(st.text(max_size=5))
        self._write(
            finished(job.job_id, self._some(ENDS), logs=logs, at=self._draw(st.floats(0, 9)))
        )

    def _confirm(self) -> None:
        upto = self._draw(st.integers(0, self._ledger.next_seq - 1))
        self._write(PeerConfirmed(upto, self._draw(st.integers(0, self._ledger.next_seq))))

    def _deliver(self) -> None:
        of = st.lists(st.sampled_from(list(self._ledger.finish_order)), unique=True, min_size=1)
        self._write(ResultsDelivered(tuple(self._draw(of))))

    def _begin(self) -> None:
        self._epochs += 1
        self._write(self._some([EpochBegun, PeerMet])(f"epoch-{self._epochs}"))
