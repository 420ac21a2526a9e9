"""One link of protocol v2, told as what is heard and what is said."""

from __future__ import annotations

import pytest

from domain.job import JobState
from domain.link_messages import (
    Accept,
    Acknowledge,
    CancelMessage,
    Challenge,
    Ending,
    Heard,
    Heartbeat,
    Hello,
    MissedMessage,
    OutputPosition,
    Reject,
    Result,
    RunningJob,
    Welcome,
)
from domain.records import (
    JobRejected,
    PeerConfirmed,
    PeerMet,
    StepStarting,
)
from domain.session import (
    OPENING_S,
    Phase,
)
from domain.session_effects import (
    BeginEpoch,
    Deliver,
    EndLink,
    MeetPeer,
    NoteConfirmed,
)
from tests.builders import deploy, stop
from tests.unit.histories import accepted, finished
from tests.unit.session_script import (
    FACTS,
    NONCE,
    Script,
    command,
    ending,
    rejections,
)

# The opening.


def test_nothing_is_said_before_the_challenge() -> None:
    assert Script(*rejections(2)).said() == []


def test_hello_says_where_the_agent_stands() -> None:
    script = Script(
        accepted("a", deploy("Blog"), seq=1, generation=4),
        accepted("b", stop("wiki"), seq=2),
        accepted("done", stop("wiki"), seq=3),
        StepStarting("a", "apply", 1, "token", "boot"),
        finished("done"),
    )
    script.printed["a"] = OutputPosition("apply", 1, 17)
    assert script.hear(Challenge("c" * 16)) == []
    assert script.said() == [
        Hello(
            nonce=NONCE,
            epoch="agent",
            peer_epoch="peer",
            last_seq_seen=3,
            version="1.0.0",
            architecture="linux-amd64",
            hostname="web-1",
            capabilities=("output", "cancel"),
            running=(
                RunningJob("a", JobState.RUNNING, OutputPosition("apply", 1, 17)),
                RunningJob("b", JobState.ACCEPTED),
            ),
            generations={"blog": 4},
        )
    ]


def test_the_link_goes_on_behind_what_the_peer_has() -> None:
    assert Script(*rejections(3)).opened(has=0) == [
        Reject(seq, f"job-{seq}", "busy", "no", {}, ack=3) for seq in (1, 2, 3)
    ]
    script = Script(*rejections(3))
    script.hear(Challenge("c" * 16))
    script.said()
    assert script.hear(Welcome("s", "peer", 2)) == [NoteConfirmed(2, 0)]
    assert script.said() == [Reject(3, "job-3", "busy", "no", {}, ack=3)]


def test_an_open_link_acknowledges_at_once_where_it_has_nothing_else_to_say() -> None:
    script = Script(*rejections(2), PeerConfirmed(2))
    assert script.opened(has=2) == [Acknowledge(2)]
    assert script.session.phase is Phase.OPEN


def test_what_the_peer_needs_no_more_is_noted_at_the_opening() -> None:
    script = Script(*rejections(2), PeerConfirmed(2))
    script.hear(Challenge("c" * 16))
    assert script.hear(Welcome("s", "peer", 2, prune_below=2)) == [NoteConfirmed(2, 2)]


@pytest.mark.parametrize(
    "early", [command(1), Acknowledge(0), MissedMessage(1), Heartbeat(), Welcome("s", "peer", 0)]
)
def test_anything_else_before_the_opening_is_over_is_a_violation(early: Heard) -> None:
    assert ending(Script().hear(early)) is Ending.VIOLATION


@pytest.mark.parametrize("late", [Challenge("c" * 16), Welcome("s", "peer", 0)])
def test_an_opening_comes_once(late: Heard) -> None:
    script = Script()
    script.opened()
    assert ending(script.hear(late)) is Ending.VIOLATION


def test_a_second_challenge_is_a_violation() -> None:
    script = Script()
    assert ending(script.hear(Challenge("c" * 16), Challenge("c" * 16))) is Ending.VIOLATION


def test_each_message_of_the_opening_has_its_time() -> None:
    script = Script()
    assert script.session.due_at(script.now, 0.0) == script.now + OPENING_S
    script.now += OPENING_S - 0.1
    assert script.tick() == []
    script.hear(Challenge("c" * 16))
    script.now += OPENING_S - 0.1
    assert script.tick() == []
    script.now += 0.1
    assert script.tick() == [EndLink(Ending.VIOLATION, "no WELCOME came within 10 s")]


def test_a_challenge_that_does_not_come_ends_the_link() -> None:
    script = Script()
    script.now += OPENING_S
    assert script.tick() == [EndLink(Ending.VIOLATION, "no CHALLENGE came within 10 s")]


# Another peer, and another agent.


def test_another_peer_is_met_and_told_the_results_from_number_one() -> None:
    script = Script(accepted("a", seq=1), finished("a"), PeerConfirmed(2))
    script.hear(Challenge("c" * 16))
    script.said()
    assert script.hear(Welcome("s", "peer-2", 0)) == [MeetPeer("peer-2")]
    assert script.session.phase is Phase.MEETING
    assert script.said() == []
    script.write(PeerMet("peer-2"))
    script.session.peer_met()
    assert [(type(each), getattr(each, "seq", 0)) for each in script.said()] == [(Result, 1)]


def test_what_comes_while_a_peer_is_being_met_is_asked_for_again() -> None:
    script = Script()
    script.hear(Challenge("c" * 16), Welcome("s", "peer-2", 0))
    script.said()
    assert script.hear(command(1, ack=0), MissedMessage(1), Acknowledge(0), Heartbeat()) == []
    script.write(PeerMet("peer-2"))
    script.session.peer_met()
    assert script.said() == [MissedMessage(1, 0), Acknowledge(0)][:1]
    assert script.hear(command(1)) == [Deliver(command(1))]


@pytest.mark.parametrize("seen", [0, 1, 4])
def test_a_peer_that_has_what_cannot_be_makes_a_new_epoch(seen: int) -> None:
    script = Script(*rejections(3), PeerConfirmed(2))
    script.hear(Challenge("c" * 16))
    (effect,) = script.hear(Welcome("s", "peer", seen))
    assert isinstance(effect, BeginEpoch)
    assert script.session.phase is not Phase.OPEN


# What the peer says, once.


def test_a_message_is_delivered_and_acknowledged_once_it_is_durable() -> None:
    script = Script()
    script.opened()
    assert script.hear(command(1)) == [Deliver(command(1))]
    assert script.arriving == {1}
    assert script.said() == []
    script.write(accepted("job-1", seq=1))
    assert script.said() == [Accept(1, "job-1", JobState.ACCEPTED, ack=1)]


def test_what_says_nothing_back_is_acknowledged_too() -> None:
    script = Script(accepted("a", seq=1), PeerConfirmed(1))
    script.opened(has=1)
    script.hear(CancelMessage(2, "a"))
    script.ledger.apply(JobRejected("x", "busy", "", 2))
    script.ledger.notices.clear()
    assert script.said() == [Acknowledge(2)]


def test_a_duplicate_is_dropped_and_acknowledged_again() -> None:
    script = Script()
    script.opened()
    script.hear(command(1))
    script.write(accepted("job-1", seq=1))
    script.said()
    assert script.hear(command(1)) == []
    assert script.said() == [Acknowledge(1)]


def test_a_duplicate_of_what_is_being_written_is_dropped_and_not_acknowledged() -> None:
    script = Script()
    script.opened()
    script.hear(command(1))
    assert script.hear(command(1)) == []
    assert script.said() == [Acknowledge(0)]


def test_a_gap_is_told_once_and_what_is_behind_it_dropped() -> None:
    script = Script()
    script.opened()
    assert script.hear(command(2), command(3), command(4)) == []
    assert script.said() == [MissedMessage(1, 0)]
    assert script.hear(command(5)) == []
    assert script.said() == []
    assert script.hear(command(1), command(2)) == [Deliver(command(1)), Deliver(command(2))]


def test_a_gap_that_stays_is_told_again_in_the_place_of_a_heartbeat() -> None:
    script = Script()
    script.opened()
    script.hear(command(2))
    script.said()
    script.now += 15.0
    assert script.said() == [MissedMessage(1, 0)]
    script.hear(command(1))
    script.write(*rejections(1))
    script.said()
    script.now += 15.0
    assert script.said() == [Heartbeat(FACTS, 1)]


def test_another_gap_is_another_matter() -> None:
    script = Script()
    script.opened()
    script.hear(command(2))
    script.said()
    script.hear(command(1), command(3))
    assert script.said() == [MissedMessage(2, 0)]


def test_what_another_link_has_delivered_is_not_delivered_again() -> None:
    first = Script()
    first.opened()
    first.hear(command(1), command(2))
    second = Script(ledger=first.ledger, arriving=first.arriving)
    second.opened()
    assert second.hear(command(1), command(2)) == []
    assert second.said() == [Acknowledge(0)]
    assert second.hear(command(3)) == [Deliver(command(3))]


def test_what_was_written_out_of_order_is_not_asked_for_again() -> None:
    script = Script(accepted("b", seq=2))
    script.opened()
    assert script.hear(command(1)) == [Deliver(command(1))]
    assert script.hear(command(2)) == []
    assert script.hear(command(3)) == [Deliver(command(3))]
