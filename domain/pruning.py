"""What a journal may forget, and what it is replaced by.

A result is kept at least until it is delivered. Afterwards it is kept for a peer that asks again,
within the bounds below, and then its job is nothing but a tombstone: id, digest and final state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from domain.ledger import Ledger
from domain.ledger_jobs import LedgerJob
from domain.records import (
    CancelRequested,
    EpochBegun,
    GenerationReached,
    JobFinished,
    NoticeKept,
    NoticeKind,
    PeerMet,
    Record,
    ResultsDelivered,
    SequencesStand,
    StepExited,
    StepStarted,
    StepStarting,
    Tombstone,
)

KEPT_S: Final = 30 * 24 * 3600.0
KEPT_RESULTS: Final = 4096
KEPT_LOGS: Final = 4 * 1024 * 1024
"""Characters of output in delivered results."""
WAITING_LOGS: Final = 16 * 1024 * 1024
"""Characters of output in results that are not delivered: past it the oldest go without."""

PRUNED: Final = "[output pruned: too much of it was waiting to be delivered]"


@dataclass(frozen=True, slots=True)
class Pruning:
    """`records` amount to the ledger as it is once `forgotten` are forgotten."""

    records: Sequence[Record]
    tombstones: Sequence[Tombstone]
    forgotten: Sequence[str]


def prune(ledger: Ledger, now: float) -> Pruning:
    """Say what stays; `now` is the wall clock, in seconds since 1970.

    The ledger is not changed, but for output that is dropped from results that wait.
    """
    _slim(ledger)
    forgotten = set(_forgettable(ledger, now))
    jobs = [job for job in ledger.jobs.values() if job.job_id not in forgotten]
    results = [job_id for job_id in ledger.finish_order if job_id not in forgotten]
    return Pruning(
        records=list(_records(ledger, jobs, results)),
        tombstones=[
            Tombstone(job_id, job.accepted.digest, job.state)
            for job_id in forgotten
            if (job := ledger.jobs[job_id]).changes
        ],
        forgotten=sorted(forgotten),
    )


def _forgettable(ledger: Ledger, now: float) -> Iterator[str]:
    kept, kept_logs = 0, 0
    for job_id in reversed(ledger.finish_order):
        job = ledger.jobs[job_id]
        if not job.is_delivered or job.finished is None or job.result_seq > ledger.confirmed:
            continue
        if job.changes and not job.accepted.digest:
            continue  # Damage took its command: no tombstone could say which one the id belongs to.
        kept += 1
        kept_logs += len(job.finished.logs)
        is_needed_by_nobody = 0 < job.result_seq < ledger.prune_below
        is_old = now - job.finished.finished_at > KEPT_S
        if kept > KEPT_RESULTS or kept_logs > KEPT_LOGS or is_needed_by_nobody or is_old:
            yield job_id


def _slim(ledger: Ledger) -> None:
    waiting = 0
    for job_id in reversed(ledger.finish_order):
        job = ledger.jobs[job_id]
        if job.is_delivered or job.finished is None:
            continue
        waiting += len(job.finished.logs)
        if waiting > WAITING_LOGS and len(job.finished.logs) > len(PRUNED):
            ledger.kept_bytes += len(PRUNED) - len(job.finished.logs)
            job.finished = replace(job.finished, logs=PRUNED)


def _records(ledger: Ledger, jobs: Sequence[LedgerJob], results: Sequence[str]) -> Iterator[Record]:
    yield EpochBegun(ledger.epoch)
    if ledger.peer_epoch:
        yield PeerMet(ledger.peer_epoch)
    for project, generation in ledger.generations.items():
        yield GenerationReached(project, generation)
    for job in jobs:
        yield job.accepted
        yield from _progress_of(job)
    for job_id in results:
        yield _result_of(ledger, job_id)
    delivered = tuple(job_id for job_id in results if ledger.jobs[job_id].is_delivered)
    if delivered:
        yield ResultsDelivered(delivered)
    yield SequencesStand(
        heard=ledger.heard,
        heard_beyond=tuple(sorted(ledger.heard_beyond)),
        confirmed=ledger.confirmed,
        prune_below=ledger.prune_below,
        next_seq=ledger.next_seq,
    )
    for job_id in results:
        seq = ledger.jobs[job_id].result_seq
        if 0 < seq <= ledger.confirmed:
            yield NoticeKept(seq, NoticeKind.RESULT, job_id)
    yield from ledger.notices.values()


def _progress_of(job: LedgerJob) -> Iterator[Record]:
    if job.is_cancel_requested:
        yield CancelRequested(job.job_id)
    for attempt in job.attempts:
        where = (job.job_id, attempt.step, attempt.number)
        yield StepStarting(*where, attempt.token, attempt.boot_id)
        if attempt.process is not None:
            yield StepStarted(*where, attempt.process)
        if attempt.is_over:
            yield StepExited(*where, attempt.exit)


def _result_of(ledger: Ledger, job_id: str) -> JobFinished:
    finished = ledger.jobs[job_id].finished
    assert finished is not None
    return finished
