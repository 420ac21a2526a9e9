"""What the records of a journal amount to: every job, and where both directions of the link stand.

Pure, and a function of the sequence of records alone: what an agent holds in memory is at any moment
what it would find after a crash. Records of jobs that are unknown, which only a damaged journal has,
make the job known as far as they tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from domain.commands import project_of
from domain.job import JobState, is_terminal
from domain.ledger_jobs import Attempt, LedgerJob
from domain.records import (
    CancelRequested,
    EpochBegun,
    GenerationReached,
    JobAccepted,
    JobFinished,
    JobRejected,
    JobRepeated,
    Moment,
    NoticeKept,
    NoticeKind,
    PeerConfirmed,
    PeerMet,
    Record,
    ResultsDelivered,
    SequencesStand,
    StepExited,
    StepStarted,
    StepStarting,
)


class Ledger:
    """`apply` is what changes it; `forget` goes with a compaction of the journal."""

    def __init__(self) -> None:
        self.epoch = ""
        self.peer_epoch = ""
        self.jobs: dict[str, LedgerJob] = {}
        """Open jobs and kept results, in the order in which they were accepted."""
        self.finish_order: dict[str, None] = {}
        """The ids of the kept results, in the order in which the jobs ended."""
        self.notices: dict[int, NoticeKept] = {}
        """What the peer has not confirmed, by sequence number, ascending."""
        self.generations: dict[str, int] = {}
        self.heard = 0
        """Everything of the peer's up to this number is durable here."""
        self.heard_beyond: set[int] = set()
        self.confirmed = 0
        self.prune_below = 0
        self.next_seq = 1
        self.kept_bytes = 0
        """How large the logs of the kept results are, in characters."""

    def has_heard(self, seq: int) -> bool:
        """Whether the peer's message of this number is durable here."""
        return seq <= self.heard or seq in self.heard_beyond

    def open_jobs(self) -> Iterator[LedgerJob]:
        """The jobs that have not ended, in the order in which they were accepted."""
        return (job for job in self.jobs.values() if job.finished is None)

    def undelivered(self) -> Iterator[JobFinished]:
        """The results that nobody has confirmed, in the order in which the jobs ended."""
        for job_id in self.finish_order:
            job = self.jobs[job_id]
            if not job.is_delivered and job.finished is not None:
                yield job.finished

    def forget(self, job_ids: Iterable[str]) -> None:
        """Drop results that are delivered, once a compacted journal does without them too."""
        for job_id in job_ids:
            self._forget(job_id)

    def apply(self, record: Record) -> None:
        """Take one fact in."""
        match record:
            case JobAccepted():
                self._accept(record)
            case StepStarting() | StepStarted() | StepExited():
                self._step(record)
            case JobFinished():
                self._finish(record)
            case CancelRequested():
                self._hear(record.peer_seq)
                if (job := self.jobs.get(record.job_id)) is not None:
                    job.is_cancel_requested = True
            case JobRepeated() | JobRejected():
                self._answer(record)
            case ResultsDelivered():
                self._deliver(record.job_ids)
            case PeerConfirmed():
                self._confirm(record)
            case EpochBegun() | PeerMet() | SequencesStand() | NoticeKept():
                self._begin(record)
            case GenerationReached():
                self._reach(record.project, record.generation)

    def _accept(self, record: JobAccepted) -> None:
        self._hear(record.peer_seq)
        if record.job_id in self.jobs:
            return
        self.jobs[record.job_id] = LedgerJob(record)
        if record.generation is not None and record.command is not None:
            project = project_of(record.command)
            if project is not None:
                self._reach(project.compose_name, record.generation)
        if record.peer_seq is not None:
            self._notify(NoticeKind.ACCEPT, record.job_id)

    def _step(self, record: StepStarting | StepStarted | StepExited) -> None:
        job = self._job(record.job_id)
        if isinstance(record, StepStarting):
            job.attempts.append(Attempt(record.step, record.attempt, record.token, record.boot_id))
            return
        for attempt in job.attempts_at(record.step):
            if attempt.number == record.attempt and not attempt.is_over:
                if isinstance(record, StepStarted):
                    attempt.process = record.process
                else:
                    attempt.is_over, attempt.exit = True, record.exit

    def _finish(self, record: JobFinished) -> None:
        job = self._job(record.job_id)
        if job.finished is not None or not is_terminal(record.state):
            return
        job.finished = record
        if job.changes:
            job.accepted = replace(job.accepted, command=None)
        self.finish_order[record.job_id] = None
        self.kept_bytes += len(record.logs)
        self._notify(NoticeKind.RESULT, record.job_id)

    def _answer(self, record: JobRepeated | JobRejected) -> None:
        self._hear(record.peer_seq)
        if isinstance(record, JobRejected):
            self._notify(
                NoticeKind.REJECT,
                record.job_id,
                reason=record.reason,
                error=record.error,
                data=record.data,
            )
            return
        job = self.jobs.get(record.job_id)
        # It may have ended while this was being written down, and nobody is told that it runs again.
        state = record.state if job is None else job.state
        self._notify(NoticeKind.REPEAT, record.job_id, state=state)
        # A result that is not delivered yet is on its way as it is.
        if job is not None and job.is_delivered:
            self._notify(NoticeKind.RESULT, record.job_id)

    def _deliver(self, job_ids: tuple[str, ...]) -> None:
        gone = set(job_ids)
        for seq in [
            seq
            for seq, notice in self.notices.items()
            if notice.kind is NoticeKind.RESULT and notice.job_id in gone
        ]:
            del self.notices[seq]
        for job_id in job_ids:
            if job_id in self.jobs:
                self.jobs[job_id].result_seq = 0
            self._delivered(job_id)

    def _confirm(self, record: PeerConfirmed) -> None:
        self.confirmed = max(self.confirmed, record.seq)
        self.prune_below = max(self.prune_below, record.prune_below)
        while self.notices and (seq := next(iter(self.notices))) <= self.confirmed:
            notice = self.notices.pop(seq)
            if notice.kind is NoticeKind.RESULT:
                self._delivered(notice.job_id)

    def _delivered(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job is None or job.finished is None:
            return
        job.is_delivered = True
        if not job.changes:
            self._forget(job_id)  # Whoever asks under this id again wants to know how it is now.

    def _begin(self, record: EpochBegun | PeerMet | SequencesStand | NoticeKept) -> None:
        match record:
            case EpochBegun():
                self.epoch, self.peer_epoch = record.epoch, ""
                self._renumber([result.job_id for result in self.undelivered()])
            case PeerMet():
                self.peer_epoch = record.epoch
                self._renumber(list(self.finish_order))
            case SequencesStand():
                self.heard, self.heard_beyond = record.heard, set(record.heard_beyond)
                self.confirmed, self.prune_below = record.confirmed, record.prune_below
                self.next_seq = record.next_seq
                self._tell_nothing()
            case NoticeKept():
                if record.kind is NoticeKind.RESULT and record.job_id in self.jobs:
                    self.jobs[record.job_id].result_seq = record.seq
                if record.seq > self.confirmed:
                    self.notices[record.seq] = record

    def _renumber(self, results: list[str]) -> None:
        self.heard, self.heard_beyond = 0, set()
        self.confirmed, self.prune_below, self.next_seq = 0, 0, 1
        self._tell_nothing()
        for job_id in results:
            self._notify(NoticeKind.RESULT, job_id)

    def _tell_nothing(self) -> None:
        self.notices = {}
        for job in self.jobs.values():
            job.result_seq = 0

    def _notify(
        self,
        kind: NoticeKind,
        job_id: str,
        *,
        state: JobState | None = None,
        reason: str = "",
        error: str = "",
        data: Mapping[str, object] | None = None,
    ) -> None:
        seq = self.next_seq
        self.next_seq += 1
        self.notices[seq] = NoticeKept(seq, kind, job_id, state, reason, error, data or {})
        if kind is NoticeKind.RESULT:
            self.jobs[job_id].result_seq = seq

    def _hear(self, seq: int | None) -> None:
        if seq is None or self.has_heard(seq):
            return
        self.heard_beyond.add(seq)
        while self.heard + 1 in self.heard_beyond:
            self.heard += 1
            self.heard_beyond.remove(self.heard)

    def _reach(self, project: str, generation: int) -> None:
        self.generations[project] = max(generation, self.generations.get(project, 0))

    def _job(self, job_id: str) -> LedgerJob:
        if job_id not in self.jobs:
            lost = JobAccepted(job_id, None, "", Moment("", 0.0))
            self.jobs[job_id] = LedgerJob(lost)
        return self.jobs[job_id]

    def _forget(self, job_id: str) -> None:
        job = self.jobs.pop(job_id)
        if job.finished is not None:
            self.finish_order.pop(job_id, None)
            self.kept_bytes -= len(job.finished.logs)
