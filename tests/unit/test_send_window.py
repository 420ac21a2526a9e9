"""The agent's durable messages on one link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.job import JobState
from domain.ledger import Ledger
from domain.link_messages import Accept, Reject, Result, SequencedSaid, StepOutput
from domain.records import (
    EpochBegun,
    JobRejected,
    JobRepeated,
    PeerConfirmed,
    PeerMet,
    Record,
    StepExit,
    StepExited,
    StepStarting,
)
from domain.send_window import WINDOW_BYTES, WINDOW_MESSAGES, SendWindow
from tests.builders import stop
from tests.unit.histories import accepted, finished, replayed

MET: list[Record] = [EpochBegun("agent"), PeerMet("peer")]


def ledger_of(*records: Record) -> Ledger:
    return replayed([*MET, *records])


def rejections(count: int) -> list[Record]:
    return [JobRejected(f"job-{seq}", "busy", "no", seq) for seq in range(1, count + 1)]


def results(*sizes: int) -> Ledger:
    """Results of so many characters of output each, and nothing else to tell."""
    ledger = replayed([EpochBegun("agent")])
    for number, size in enumerate(sizes):
        ledger.apply(accepted(f"job-{number}"))
        ledger.apply(finished(f"job-{number}", logs="x" * size))
    ledger.apply(PeerMet("peer"))
    return ledger


def drain(window: SendWindow, *, ack: int = 0, now: float = 0.0) -> list[SequencedSaid]:
    found = []
    while (message := window.next(ack, now)) is not None:
        found.append(message)
    return found


def numbers(window: SendWindow) -> list[int]:
    return [message.seq for message in drain(window)]


def test_each_kind_of_message_says_what_it_is_about() -> None:
    ledger = ledger_of(
        accepted("a", seq=1),
        JobRejected("b", "busy", "no", 2, {"field": "id"}),
        StepStarting("a", "apply", 1, "t1", "boot"),
        StepExited("a", "apply", 1, None),
        StepStarting("a", "apply", 2, "t2", "boot"),
        StepExited("a", "apply", 2, StepExit(1, 9, "ab", 4, 3)),
        JobRepeated("a", 3, JobState.RUNNING),
        finished("a", JobState.FAILED, logs="out"),
    )
    assert drain(SendWindow(ledger), ack=3) == [
        Accept(1, "a", JobState.FAILED, ack=3),
        Reject(2, "b", "busy", "no", {"field": "id"}, 3),
        Accept(3, "a", JobState.RUNNING, is_repeat=True, ack=3),
        Result(
            4,
            "a",
            JobState.FAILED,
            "out",
            "no",
            {},
            (
                StepOutput("apply", 1, None, 0, "", truncated=True),
                StepOutput("apply", 2, 1, 9, "ab", truncated=True),
            ),
            3,
        ),
    ]


def test_what_was_killed_by_us_before_it_recorded_anything_is_told_as_interrupted() -> None:
    ledger = ledger_of(
        accepted("a", seq=1),
        StepStarting("a", "apply", 1, "t1", "boot"),
        StepExited("a", "apply", 1, StepExit(-9, ended_by="cancel")),
        finished("a", JobState.CANCELED),
    )
    result = drain(SendWindow(ledger))[-1]
    assert isinstance(result, Result)
    assert result.output == (StepOutput("apply", 1, None, 0, "", truncated=True),)


def test_so_many_messages_are_under_way_at_most() -> None:
    window = SendWindow(ledger_of(*rejections(WINDOW_MESSAGES + 3)))
    assert numbers(window) == list(range(1, WINDOW_MESSAGES + 1))
    window.confirm(2)
    assert numbers(window) == [WINDOW_MESSAGES + 1, WINDOW_MESSAGES + 2]


def test_so_many_bytes_are_under_way_at_most() -> None:
    half = WINDOW_BYTES // 2
    window = SendWindow(results(half, half - 5000, half, half))
    assert numbers(window) == [1, 2]
    window.confirm(1)
    assert numbers(window) == [3]
    assert numbers(window) == []
    window.confirm(3)
    assert numbers(window) == [4]


@pytest.mark.parametrize("size", [WINDOW_BYTES, 20 * WINDOW_BYTES])
def test_one_message_of_any_size_is_always_allowed(size: int) -> None:
    window = SendWindow(results(size, size, 1))
    assert numbers(window) == [1]
    window.confirm(1)
    assert numbers(window) == [2]
    window.confirm(2)
    assert numbers(window) == [3]


def test_a_link_goes_on_behind_what_the_peer_has() -> None:
    window = SendWindow(ledger_of(*rejections(5)))
    window.resume(3)
    assert (window.sent, window.confirmed) == (3, 3)
    assert numbers(window) == [4, 5]


def test_what_the_peer_misses_is_sent_again_and_frees_its_room_before() -> None:
    window = SendWindow(ledger_of(*rejections(WINDOW_MESSAGES + 9)))
    drain(window)
    window.send_again_from(WINDOW_MESSAGES - 1)
    assert numbers(window) == [WINDOW_MESSAGES - 1, WINDOW_MESSAGES]


def test_what_came_on_an_earlier_link_is_not_sent_once_it_is_confirmed() -> None:
    window = SendWindow(ledger_of(*rejections(5)))
    window.confirm(3)
    assert numbers(window) == [4, 5]


def test_confirming_less_than_before_changes_nothing() -> None:
    window = SendWindow(ledger_of(*rejections(3)))
    window.resume(2)
    window.confirm(1)
    assert (window.sent, window.confirmed) == (2, 2)


def test_the_oldest_unconfirmed_message_says_since_when_the_peer_keeps_silent() -> None:
    window = SendWindow(ledger_of(*rejections(3)))
    since = [window.waiting_since]
    for now in (1.0, 2.0, 3.0):
        window.next(0, now)
    since.append(window.waiting_since)
    window.confirm(1)
    since.append(window.waiting_since)
    window.send_again_from(2)
    since.append(window.waiting_since)
    assert since == [None, 1.0, 2.0, None]


def test_a_result_that_is_next_is_known_before_it_is_taken() -> None:
    window = SendWindow(ledger_of(accepted("a", stop(), seq=1), finished("a")))
    due = [window.result_due]
    while window.next(0, 0.0) is not None:
        due.append(window.result_due)
    assert due == [None, "a", None]


def test_what_comes_later_is_sent_later() -> None:
    ledger = ledger_of(*rejections(1))
    window = SendWindow(ledger)
    assert numbers(window) == [1]
    ledger.apply(JobRejected("late", "busy", "no", 2))
    assert numbers(window) == [2]


@given(
    sizes=st.lists(st.integers(0, WINDOW_BYTES // 3), min_size=1, max_size=12),
    acts=st.lists(st.tuples(st.sampled_from(["send", "confirm", "miss"]), st.integers(0, 12))),
)
def test_in_whatever_order_things_happen_the_window_holds_and_all_arrives(
    sizes: list[int], acts: list[tuple[str, int]]
) -> None:
    window = SendWindow(results(*sizes))
    weight = dict(enumerate(sizes, 1))
    has = 0
    under_way: list[int] = []
    for act, number in [*acts, *[("send", 0), ("confirm", 99)] * len(sizes)]:
        if act == "send" and (message := window.next(0, 0.0)) is not None:
            assert message.seq == max([has, *under_way]) + 1
            under_way.append(message.seq)
            assert len(under_way) == 1 or sum(weight[seq] for seq in under_way) < WINDOW_BYTES
        elif act == "confirm":
            has = max(has, min(number, window.sent))
            window.confirm(has)
            under_way = [seq for seq in under_way if seq > has]
        elif act == "miss" and has < number <= window.sent:
            window.send_again_from(number)
            under_way = [seq for seq in under_way if seq < number]
    assert has == len(sizes)


def test_the_peer_confirms_what_the_ledger_has_forgotten() -> None:
    ledger = ledger_of(*rejections(3))
    window = SendWindow(ledger)
    drain(window)
    ledger.apply(PeerConfirmed(2))
    window.confirm(2)
    assert numbers(window) == []
    window.send_again_from(3)
    assert numbers(window) == [3]
