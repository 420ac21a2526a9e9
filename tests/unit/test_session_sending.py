"""One link of protocol v2, what the agent says on it, and when it is given up."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from domain.errors import InvalidInput
from domain.job import JobState
from domain.link_messages import (
    Accept,
    Acknowledge,
    Bye,
    Challenge,
    Ending,
    GoAway,
    Heartbeat,
    MissedMessage,
    OutputChunk,
    OutputPosition,
    PeerError,
    Result,
    Unusable,
    Welcome,
)
from domain.records import (
    PeerConfirmed,
)
from domain.send_window import WINDOW_BYTES, WINDOW_MESSAGES
from domain.session import (
    ERRORS_WAITING,
    SILENCE_S,
    UNACKNOWLEDGED_S,
)
from domain.session_effects import (
    Complaint,
    Leave,
    NoteConfirmed,
)
from tests.unit.histories import accepted, finished
from tests.unit.session_script import (
    FACTS,
    Script,
    command,
    ending,
    opened_script,
    rejections,
)

# What the agent says, until it is confirmed.


def test_answers_come_as_their_records_become_durable() -> None:
    script = Script()
    script.opened()
    script.write(accepted("a", seq=1))
    assert script.said() == [Accept(1, "a", JobState.ACCEPTED, ack=1)]
    script.write(finished("a", logs="out"))
    assert script.said() == [Result(2, "a", JobState.SUCCEEDED, "out", "", {}, (), 1)]
    assert script.hear(Acknowledge(2, prune_below=2)) == [NoteConfirmed(2, 2)]


def test_any_message_may_acknowledge() -> None:
    for message in (command(3, ack=1), Heartbeat(ack=1), MissedMessage(2, ack=1)):
        script = Script(*rejections(2))
        script.opened()
        assert NoteConfirmed(1, 0) in script.hear(message)


def test_the_same_acknowledgement_again_says_nothing_new() -> None:
    script = Script(*rejections(2), PeerConfirmed(2))
    script.opened(has=2)
    assert script.hear(Acknowledge(2), Heartbeat(ack=1)) == []


def test_acknowledging_what_was_not_sent_is_a_violation() -> None:
    script = Script(*rejections(2))
    script.opened()
    assert ending(script.hear(Acknowledge(3))) is Ending.VIOLATION


def test_the_window_is_never_passed_and_opens_with_each_acknowledgement() -> None:
    script = Script(*rejections(WINDOW_MESSAGES + 2))
    assert len(script.opened()) == WINDOW_MESSAGES
    script.hear(Acknowledge(1))
    assert [getattr(each, "seq", None) for each in script.said()] == [WINDOW_MESSAGES + 1]


@pytest.mark.parametrize("size", [WINDOW_BYTES - 1, 3 * WINDOW_BYTES])
def test_one_message_of_any_size_is_under_way_alone(size: int) -> None:
    script = Script(
        *(accepted(each, seq=seq) for seq, each in enumerate("ab", 1)),
        finished("a", logs="x" * size),
        finished("b", logs="x" * size),
    )
    script.hear(Challenge("c" * 16), Welcome("s", "peer", 2))
    assert [getattr(each, "seq", None) for each in script.said()] == [None, 3]
    script.hear(Acknowledge(3))
    assert [getattr(each, "seq", None) for each in script.said()] == [4]


def test_what_the_peer_misses_is_said_again_from_there() -> None:
    script = Script(*rejections(4))
    script.opened()
    script.hear(MissedMessage(3, ack=2))
    assert [getattr(each, "seq", None) for each in script.said()] == [3, 4]


@pytest.mark.parametrize("expected", [2, 6])
def test_missing_what_is_not_under_way_is_a_violation(expected: int) -> None:
    script = Script(*rejections(4))
    script.opened()
    script.hear(Acknowledge(2))
    assert ending(script.hear(MissedMessage(expected))) is Ending.VIOLATION


def test_missing_one_more_before_the_first_was_sent_again_is_no_violation() -> None:
    script = Script(*rejections(4))
    script.opened()
    assert script.hear(MissedMessage(2), MissedMessage(3)) == []
    assert [getattr(each, "seq", None) for each in script.said()] == [3, 4]


def test_missing_the_next_one_is_harmless() -> None:
    script = Script(*rejections(2))
    script.opened()
    assert script.hear(MissedMessage(3)) == []


def test_a_result_waits_until_what_its_job_printed_was_sent() -> None:
    script = Script(accepted("a", seq=1), finished("a"))
    is_sent = False
    script.session.is_printed = lambda _job_id: is_sent
    assert [type(each) for each in script.opened()] == [Accept]
    script.session.output.offer(OutputChunk("a", OutputPosition("apply", 1, 0), b"x"))
    assert [type(each) for each in script.said()] == [OutputChunk]
    is_sent = True
    assert [type(each) for each in script.said()] == [Result]


@pytest.mark.parametrize("by_welcome", [True, False])
def test_the_peer_says_up_to_where_it_has_the_output(*, by_welcome: bool) -> None:
    script = Script()
    seen: Mapping[str, OutputPosition] = {"a": OutputPosition("apply", 2, 50)}
    script.opened(output_seen=seen if by_welcome else {})
    if not by_welcome:
        script.hear(Acknowledge(0, output_seen=seen))
    assert script.session.output.wanted("a", "apply", 2)[0] == 50


# Time.


def test_a_silent_side_says_that_it_is_there() -> None:
    script = Script()
    script.opened(heartbeat_s=7.0)
    assert script.session.due_at(script.now, 0.0) == script.now + 7.0
    script.now += 6.9
    assert script.said() == []
    script.now += 0.1
    assert script.said() == [Heartbeat(FACTS, 0)]
    assert script.session.due_at(script.now, 0.0) == script.now + 7.0


def test_a_half_open_link_is_given_up() -> None:
    script = Script()
    script.opened()
    assert script.tick(silence_s=SILENCE_S - 0.1) == []
    assert script.session.due_at(script.now, SILENCE_S - 1) == script.now + 1
    assert ending(script.tick(silence_s=SILENCE_S)) is Ending.GOING_AWAY


def test_a_peer_that_lives_and_acknowledges_nothing_is_given_up() -> None:
    script = Script(*rejections(1))
    script.opened()
    due = script.now + UNACKNOWLEDGED_S
    script.now = due - 1.0
    script.said()
    assert script.tick() == []
    assert script.session.due_at(script.now, 0.0) == due
    script.now = due
    assert ending(script.tick()) is Ending.TOO_SLOW


def test_what_is_acknowledged_in_time_is_not_missed() -> None:
    script = Script(*rejections(2))
    script.opened()
    script.now += UNACKNOWLEDGED_S - 1
    script.hear(Acknowledge(2))
    script.now += 1
    assert script.tick() == []


# The rest.


def test_a_peer_that_leaves_is_left() -> None:
    for script in (Script(), opened_script()):
        assert ending(script.hear(Bye("restart"))) is Ending.GOING_AWAY


def test_a_peer_may_send_the_agent_away() -> None:
    assert Script().hear(GoAway(30.0, "drain")) == [Leave(30.0, "drain")]
    assert opened_script().hear(GoAway(0.0)) == [Leave(0.0, "")]


def test_a_complaint_of_the_peer_is_for_the_log() -> None:
    assert opened_script().hear(PeerError("bad", "no such field")) == [
        Complaint("bad", "no such field")
    ]


def test_what_cannot_be_used_is_complained_of_and_ends_nothing() -> None:
    script = opened_script()
    assert script.hear(Unusable(InvalidInput("type", "is missing"))) == []
    assert script.said() == [PeerError("invalid_input", "type: is missing")]


def test_complaints_do_not_heap_up() -> None:
    script = opened_script()
    for _ in range(2 * ERRORS_WAITING):
        script.hear(Unusable(InvalidInput("type", "is missing")))
    assert len(script.said()) == ERRORS_WAITING
