"""What a journal may forget, and what it never may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import pruning
from domain.commands import CheckHealth, digest_of
from domain.job import JobState
from domain.ledger import Ledger
from domain.pruning import KEPT_S, PRUNED, prune
from domain.records import (
    CancelRequested,
    EpochBegun,
    JobFinished,
    JobRepeated,
    PeerConfirmed,
    PeerMet,
    Record,
    ResultsDelivered,
    Tombstone,
)
from tests.builders import stop
from tests.unit.histories import accepted, content, finished, histories, replayed

MET: list[Record] = [EpochBegun("agent"), PeerMet("peer")]
DIGEST = digest_of(stop())


def delivered(count: int, *, logs: str = "", prune_below: int = 0) -> Ledger:
    """`count` jobs, `job-1` first, that ended one after another, at that second, and are delivered."""
    records: list[Record] = [*MET]
    for number in range(1, count + 1):
        records.append(accepted(f"job-{number}", stop(), seq=number))
        records.append(finished(f"job-{number}", logs=logs, at=float(number)))
    return replayed([*records, PeerConfirmed(2 * count, prune_below)])


def kept(ledger: Ledger, now: float = 0.0) -> list[str]:
    """The jobs that a compacted journal still knows."""
    return list(replayed(list(prune(ledger, now).records)).jobs)


def test_within_the_limits_everything_is_kept() -> None:
    ledger = delivered(3)
    before = content(ledger)
    found = prune(ledger, 0.0)
    assert (list(found.forgotten), list(found.tombstones)) == ([], [])
    assert content(ledger) == content(replayed(list(found.records))) == before


def test_results_are_kept_for_a_time() -> None:
    ledger = delivered(3)
    assert kept(ledger, KEPT_S + 1.0) == ["job-1", "job-2", "job-3"]
    assert kept(ledger, KEPT_S + 2.5) == ["job-3"]


def test_a_clock_that_was_set_back_forgets_nothing() -> None:
    assert len(kept(delivered(3), -1e9)) == 3


def test_the_newest_results_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "KEPT_RESULTS", 2)
    assert kept(delivered(4)) == ["job-3", "job-4"]


def test_so_much_output_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "KEPT_LOGS", 25)
    assert kept(delivered(4, logs="0123456789")) == ["job-3", "job-4"]


def test_what_the_peer_needs_no_more_is_forgotten() -> None:
    # Each job is told twice: that it was accepted, and its result.
    assert kept(delivered(3, prune_below=5)) == ["job-3"]
    assert kept(delivered(3, prune_below=4)) == ["job-2", "job-3"]


def test_what_is_forgotten_leaves_a_tombstone_where_it_changed_something() -> None:
    ledger = replayed(
        [
            *MET,
            accepted("change", stop(), seq=1),
            accepted("read", CheckHealth(), seq=2),
            finished("change", JobState.FAILED),
            finished("read"),
            PeerConfirmed(4, 5),
        ]
    )
    found = prune(ledger, 0.0)
    assert list(found.tombstones) == [Tombstone("change", DIGEST, JobState.FAILED)]
    assert list(found.forgotten) == ["change"]


def test_an_undelivered_result_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "KEPT_RESULTS", 0)
    ledger = replayed([*MET, accepted("a", stop(), seq=1), finished("a")])
    assert kept(ledger, 1e12) == ["a"]
    ledger.apply(PeerConfirmed(1, 9))
    assert kept(ledger, 1e12) == ["a"]
    ledger.apply(PeerConfirmed(2, 9))
    assert kept(ledger, 1e12) == []


def test_a_result_that_is_told_once_more_is_kept_until_that_is_confirmed() -> None:
    ledger = delivered(1, prune_below=9)
    ledger.apply(JobRepeated("job-1", 2, JobState.SUCCEEDED))
    assert kept(ledger, 1e12) == ["job-1"]
    ledger.apply(PeerConfirmed(4, 9))
    assert kept(ledger, 1e12) == []


def test_after_a_new_peer_a_result_is_kept_until_that_one_has_it() -> None:
    ledger = delivered(1)
    ledger.apply(PeerMet("peer-2"))
    assert kept(ledger, 1e12) == ["job-1"]
    ledger.apply(PeerConfirmed(1))
    assert kept(ledger, 1e12) == []


def test_what_a_peer_without_numbers_has_read_is_kept_for_a_time() -> None:
    ledger = replayed(
        [EpochBegun("agent"), accepted("a", stop()), finished("a"), ResultsDelivered(("a",))]
    )
    assert kept(ledger, KEPT_S) == ["a"]
    assert kept(ledger, KEPT_S + 1) == []


def test_an_open_job_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "KEPT_RESULTS", 0)
    ledger = replayed([*MET, accepted("a", stop(), seq=1), CancelRequested("a", 2)])
    ledger.apply(PeerConfirmed(1, 9))
    (job,) = replayed(list(prune(ledger, 1e12).records)).jobs.values()
    assert job.accepted.command == stop()
    assert job.is_cancel_requested


def test_a_job_whose_command_is_lost_leaves_no_tombstone_and_is_not_forgotten() -> None:
    ledger = replayed([*MET, finished("lost", JobState.FAILED), PeerConfirmed(1, 9)])
    found = prune(ledger, 1e12)
    assert (list(found.forgotten), list(found.tombstones)) == ([], [])


def test_of_too_much_output_that_waits_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "WAITING_LOGS", 250)
    ledger = replayed(
        [
            *MET,
            *(accepted(job_id, stop(), seq=seq) for seq, job_id in enumerate("abcd", 1)),
            finished("a", JobState.FAILED, logs="a" * 100),
            finished("b", logs="b"),
            finished("c", logs="c" * 100),
            finished("d", logs="d" * 149),
        ]
    )
    found = replayed(list(prune(ledger, 0.0).records))
    logs = {result.job_id: result.logs for result in found.undelivered()}
    assert logs == {"a": PRUNED, "b": "b", "c": "c" * 100, "d": "d" * 149}
    assert found.jobs["a"].state is JobState.FAILED
    assert found.kept_bytes == ledger.kept_bytes == sum(map(len, logs.values()))


def _is_owed(ledger: Ledger, job_id: str) -> bool:
    job = ledger.jobs[job_id]
    return job.finished is None or not job.is_delivered


@given(histories(), st.floats(0, 1e10), st.integers(0, 3))
def test_nothing_that_is_owed_is_forgotten_and_every_change_stays_known(
    records: list[Record], now: float, few: int
) -> None:
    ledger = replayed(records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruning, "KEPT_RESULTS", few)
        found = prune(ledger, now)
    assert not any(_is_owed(ledger, job_id) for job_id in found.forgotten)
    buried = {tombstone.job_id: tombstone for tombstone in found.tombstones}
    for job_id in found.forgotten:
        job = ledger.jobs[job_id]
        if job.changes:
            assert buried.pop(job_id) == Tombstone(job_id, job.accepted.digest, job.state)
    assert not buried
    owed: list[JobFinished] = list(ledger.undelivered())
    assert list(replayed(list(found.records)).undelivered()) == owed
