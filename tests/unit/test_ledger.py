"""What the records amount to, whatever the order in which they came to be."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from domain.commands import CheckHealth
from domain.job import JobState
from domain.ledger import Ledger
from domain.pruning import prune
from domain.records import (
    CancelRequested,
    EpochBegun,
    GenerationReached,
    JobFinished,
    JobRejected,
    JobRepeated,
    NoticeKind,
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
from tests.builders import deploy, status
from tests.unit.histories import accepted, content, finished, histories, replayed

MET: list[Record] = [EpochBegun("agent"), PeerMet("peer")]
SUCCESS = StepExit(0, 3, "ab", 3)


def ledger_of(*records: Record) -> Ledger:
    return replayed([*MET, *records])


def told(ledger: Ledger) -> list[tuple[int, str, str]]:
    return [(seq, notice.kind.value, notice.job_id) for seq, notice in ledger.notices.items()]


def test_a_job_is_accepted_runs_and_ends() -> None:
    ledger = ledger_of(accepted("a", seq=1))
    states = [ledger.jobs["a"].state]
    for record in (
        StepStarting("a", "apply", 1, "token", "boot"),
        CancelRequested("a", 2),
        finished("a", JobState.CANCELED),
    ):
        ledger.apply(record)
        states.append(ledger.jobs["a"].state)
    assert states == ["accepted", "running", "canceling", "canceled"]
    assert list(ledger.open_jobs()) == []


def test_what_is_accepted_and_what_ends_is_told_under_rising_numbers() -> None:
    ledger = ledger_of(accepted("a", seq=1), accepted("b", seq=2), finished("b"), finished("a"))
    assert told(ledger) == [
        (1, "accept", "a"),
        (2, "accept", "b"),
        (3, "result", "b"),
        (4, "result", "a"),
    ]
    assert (ledger.jobs["b"].result_seq, ledger.next_seq, ledger.heard) == (3, 5, 2)


def test_a_peer_without_numbers_is_told_results_only() -> None:
    ledger = replayed([EpochBegun("agent"), accepted("a"), finished("a")])
    assert [notice.kind for notice in ledger.notices.values()] == [NoticeKind.RESULT]
    assert [result.job_id for result in ledger.undelivered()] == ["a"]


def test_the_first_end_is_the_only_one() -> None:
    ledger = ledger_of(accepted("a", seq=1), finished("a", JobState.FAILED, logs="x"))
    before = content(ledger)
    ledger.apply(finished("a", JobState.SUCCEEDED, logs="yy"))
    assert content(ledger) == before


def test_what_is_no_end_ends_nothing() -> None:
    ledger = ledger_of(accepted("a", seq=1), finished("a", JobState.RUNNING))
    assert ledger.jobs["a"].finished is None
    assert ledger.jobs["a"].state is JobState.ACCEPTED


def test_the_payload_goes_with_the_end_of_what_changes_something() -> None:
    ledger = ledger_of(
        accepted("a", deploy(), seq=1), accepted("b", status(), seq=2), finished("a"), finished("b")
    )
    assert ledger.jobs["a"].accepted.command is None
    assert ledger.jobs["b"].accepted.command == status()


def test_what_the_peer_has_is_told_no_more_and_the_result_stays() -> None:
    ledger = ledger_of(accepted("a", seq=1), finished("a"), PeerConfirmed(2))
    assert told(ledger) == []
    assert ledger.confirmed == 2
    assert ledger.jobs["a"].is_delivered


def test_a_delivered_read_is_forgotten() -> None:
    ledger = ledger_of(accepted("a", CheckHealth(), seq=1), finished("a"), PeerConfirmed(2))
    assert not ledger.jobs
    assert not ledger.finish_order


def test_confirming_less_than_before_changes_nothing() -> None:
    ledger = ledger_of(accepted("a", seq=1), PeerConfirmed(1, 2), PeerConfirmed(0, 1))
    assert (ledger.confirmed, ledger.prune_below) == (1, 2)


def test_a_repeat_is_told_and_the_delivered_result_once_more() -> None:
    ledger = ledger_of(
        accepted("a", seq=1),
        finished("a"),
        PeerConfirmed(2),
        JobRepeated("a", 2, JobState.SUCCEEDED),
    )
    assert told(ledger) == [(3, "repeat", "a"), (4, "result", "a")]
    assert ledger.jobs["a"].result_seq == 4


def test_a_repeat_does_not_tell_a_result_twice_that_is_on_its_way() -> None:
    ledger = ledger_of(accepted("a", seq=1), finished("a"), JobRepeated("a", 2, JobState.SUCCEEDED))
    assert told(ledger) == [(1, "accept", "a"), (2, "result", "a"), (3, "repeat", "a")]


def test_a_repeat_of_a_job_that_ended_while_it_was_written_down_tells_the_end() -> None:
    ledger = ledger_of(accepted("a", seq=1), finished("a"), JobRepeated("a", 2, JobState.RUNNING))
    assert ledger.notices[3].state is JobState.SUCCEEDED


def test_a_repeat_of_what_is_nothing_but_a_tombstone_is_told() -> None:
    ledger = ledger_of(JobRepeated("gone", 1, JobState.FAILED))
    assert told(ledger) == [(1, "repeat", "gone")]
    assert ledger.notices[1].state is JobState.FAILED


def test_a_rejection_is_told_with_all_that_it_says() -> None:
    ledger = ledger_of(JobRejected("a", "busy", "not now", 1, {"field": "id"}))
    notice = ledger.notices[1]
    assert (notice.reason, notice.error, notice.data) == ("busy", "not now", {"field": "id"})
    assert not ledger.jobs


def test_numbers_that_were_written_out_of_order_are_heard_once_they_are_contiguous() -> None:
    ledger = ledger_of(accepted("b", seq=2), CancelRequested("b", 4))
    assert (ledger.heard, ledger.heard_beyond) == (0, {2, 4})
    assert [ledger.has_heard(seq) for seq in range(1, 6)] == [False, True, False, True, False]
    ledger.apply(accepted("a", seq=1))
    assert (ledger.heard, ledger.heard_beyond) == (2, {4})
    ledger.apply(JobRejected("c", "busy", "", 3))
    assert (ledger.heard, ledger.heard_beyond) == (4, set())


def test_the_highest_generation_is_kept_by_composes_name() -> None:
    ledger = ledger_of(
        accepted("a", deploy("Blog"), seq=1, generation=3),
        accepted("b", deploy("blog"), seq=2, generation=2),
        accepted("c", CheckHealth(), seq=3, generation=9),
        GenerationReached("wiki", 7),
    )
    assert ledger.generations == {"blog": 3, "wiki": 7}


def test_cancelling_the_unknown_is_heard_and_that_is_all() -> None:
    ledger = ledger_of(CancelRequested("nobody", 1))
    assert (ledger.heard, ledger.jobs, ledger.notices) == (1, {}, {})


def test_attempts_at_a_step_are_kept_apart() -> None:
    process = ProcessIdentity(7, 8, "boot")
    ledger = ledger_of(
        accepted("a", seq=1),
        StepStarting("a", "apply", 1, "t1", "boot"),
        StepStarted("a", "apply", 1, process),
        StepExited("a", "apply", 1, None),
        StepStarting("a", "apply", 2, "t2", "boot"),
        StepExited("a", "apply", 2, SUCCESS),
        StepExited("a", "apply", 2, None),
    )
    first, second = ledger.jobs["a"].attempts_at("apply")
    assert (first.process, first.is_over, first.exit) == (process, True, None)
    assert (second.token, second.exit) == ("t2", SUCCESS)
    assert ledger.jobs["a"].attempts_at("validate") == []


def test_a_new_epoch_knows_no_peer_and_tells_the_undelivered_results_again() -> None:
    ledger = ledger_of(
        *(accepted(job_id, seq=seq) for seq, job_id in enumerate("abc", 1)),
        finished("b"),
        PeerConfirmed(4),
        finished("c"),
        EpochBegun("agent-2"),
    )
    assert (ledger.epoch, ledger.peer_epoch) == ("agent-2", "")
    assert (ledger.heard, ledger.heard_beyond, ledger.confirmed) == (0, set(), 0)
    assert told(ledger) == [(1, "result", "c")]
    assert list(ledger.jobs) == ["a", "b", "c"]


def test_a_new_peer_is_told_all_results_that_are_kept() -> None:
    ledger = ledger_of(
        *(accepted(job_id, seq=seq) for seq, job_id in enumerate("abc", 1)),
        finished("b"),
        PeerConfirmed(4, 3),
        finished("a"),
        PeerMet("peer-2"),
    )
    assert ledger.peer_epoch == "peer-2"
    assert told(ledger) == [(1, "result", "b"), (2, "result", "a")]
    assert (ledger.next_seq, ledger.confirmed, ledger.prune_below) == (3, 0, 0)
    assert ledger.jobs["b"].is_delivered


def test_what_a_peer_without_numbers_has_read_is_told_nobody_again() -> None:
    ledger = replayed(
        [
            EpochBegun("agent"),
            accepted("a"),
            accepted("b", CheckHealth()),
            finished("a"),
            finished("b"),
            ResultsDelivered(("a", "b", "forgotten")),
        ]
    )
    assert told(ledger) == []
    assert ledger.jobs["a"].is_delivered
    assert "b" not in ledger.jobs
    ledger.apply(PeerMet("peer"))
    assert told(ledger) == [(1, "result", "a")]


def test_records_of_jobs_that_damage_has_made_unknown_make_them_known() -> None:
    ledger = ledger_of(
        StepStarting("a", "apply", 1, "t1", "boot"),
        finished("b", JobState.FAILED),
        StepExited("c", "apply", 1, SUCCESS),
    )
    assert {job_id: job.state for job_id, job in ledger.jobs.items()} == {
        "a": JobState.RUNNING,
        "b": JobState.FAILED,
        "c": JobState.ACCEPTED,
    }
    assert all(job.accepted.command is None and job.changes for job in ledger.jobs.values())
    ledger.apply(accepted("a", seq=1))
    assert ledger.jobs["a"].attempts
    assert told(ledger) == [(1, "result", "b")]


def test_the_size_of_the_kept_output_is_known() -> None:
    ledger = ledger_of(
        accepted("a", seq=1), accepted("b", CheckHealth(), seq=2), finished("a", logs="1234")
    )
    ledger.apply(finished("b", logs="56"))
    assert ledger.kept_bytes == 6
    ledger.apply(PeerConfirmed(4))
    assert ledger.kept_bytes == 4
    ledger.forget(["a"])
    assert ledger.kept_bytes == 0


def _ends_of(records: Sequence[Record]) -> dict[str, JobFinished]:
    ends: dict[str, JobFinished] = {}
    for record in records:
        if isinstance(record, JobFinished):
            ends.setdefault(record.job_id, record)
    return ends


@given(histories())
def test_an_end_never_changes(records: list[Record]) -> None:
    ends = _ends_of(records)
    ledger = Ledger()
    for record in records:
        ledger.apply(record)
        for job in ledger.jobs.values():
            assert job.finished in (None, ends.get(job.job_id))


@given(histories())
def test_what_is_told_is_numbered_without_a_gap_and_never_twice(records: list[Record]) -> None:
    ledger = Ledger()
    for record in records:
        ledger.apply(record)
        # Only a peer without numbers, which is no peer with them, makes a gap: it begins an epoch.
        if ledger.peer_epoch:
            assert list(ledger.notices) == list(range(ledger.confirmed + 1, ledger.next_seq))
        results = [job_id for _, kind, job_id in told(ledger) if kind == "result"]
        assert set(results) <= set(ledger.finish_order)
        assert all(ledger.jobs[job_id].result_seq >= 1 for job_id in results)


@given(histories(), st.data())
def test_a_restart_at_any_moment_finds_what_was_held_in_memory(
    records: list[Record], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(records)))
    ledger = replayed(records[:cut])
    again = replayed(records[:cut])
    for record in records[cut:]:
        ledger.apply(record)
        again.apply(record)
    assert content(ledger) == content(again) == content(replayed(records))


@given(histories(), st.floats(0, 1e7), st.data())
def test_a_compacted_journal_amounts_to_the_same_then_and_later(
    records: list[Record], now: float, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(records)))
    ledger = replayed(records[:cut])
    pruning = prune(ledger, now)
    ledger.forget(pruning.forgotten)
    again = replayed(list(pruning.records))
    assert content(again) == content(ledger)
    for record in records[cut:]:
        if getattr(record, "job_id", None) not in pruning.forgotten:
            ledger.apply(record)
            again.apply(record)
    assert content(again) == content(ledger)
