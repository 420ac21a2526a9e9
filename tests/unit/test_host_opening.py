"""Opening a link, before anybody knows whose it is; and where two ends stand that meet again."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from domain.fleet.allowance import Allowance
from domain.fleet.host import HostId
from domain.fleet.host_effects import (
    CheckEnrolment,
    CheckProof,
    EndOfLink,
    Grievance,
    LinkEnd,
    OpeningEffect,
)
from domain.fleet.host_opening import OPENING_S, UNUSABLE_IN_OPENING, HostOpening
from domain.fleet.link_state import LinkState
from domain.fleet.meeting import Meeting, meeting
from domain.job import JobState
from domain.link_messages import (
    Accept,
    Bye,
    Challenge,
    Enroll,
    Heartbeat,
    Hello,
    PeerError,
    Said,
    Unusable,
)

HELLO = Hello("n" * 16, "agent", "", 0, "1.0.0", "linux-amd64", "web-1")
ENROLL = Enroll("n" * 16, "token", "key", "signature", "1.0.0", "linux-amd64", "web-1")
USELESS = Unusable(InvalidInput("type", "is missing"))


def opening() -> HostOpening:
    return HostOpening(Challenge("c" * 16), 100.0)


def end_of(effects: tuple[OpeningEffect, ...]) -> LinkEnd:
    (effect,) = effects
    assert isinstance(effect, EndOfLink)
    return effect.end


def test_a_proof_is_checked() -> None:
    one = opening()
    assert one.hear(HELLO, 100.0) == (CheckProof(HELLO),)
    assert one.is_checking


def test_a_host_enrols_and_then_says_hello() -> None:
    one = opening()
    assert one.hear(ENROLL, 100.0) == (CheckEnrolment(ENROLL),)
    one.enrolled(105.0)
    assert one.deadline == 115.0
    assert one.hear(HELLO, 100.0) == (CheckProof(HELLO),)


def test_it_enrols_once() -> None:
    one = opening()
    one.hear(ENROLL, 100.0)
    one.enrolled(105.0)
    assert end_of(one.hear(ENROLL, 100.0)) is LinkEnd.VIOLATION


@pytest.mark.parametrize("message", [HELLO, ENROLL], ids=["HELLO", "ENROLL"])
def test_nothing_is_presented_while_something_is_checked(message: Said) -> None:
    one = opening()
    one.hear(HELLO, 100.0)
    assert end_of(one.hear(message, 100.0)) is LinkEnd.VIOLATION


@pytest.mark.parametrize(
    "message", [Accept(1, "job-1", JobState.ACCEPTED), Heartbeat()], ids=["ACCEPT", "HEARTBEAT"]
)
def test_nothing_else_comes_before_welcome(message: Said) -> None:
    assert end_of(opening().hear(message, 100.0)) is LinkEnd.VIOLATION


def test_errors_and_goodbyes_may_come() -> None:
    one = opening()
    assert one.hear(PeerError("internal", "no"), 100.0) == (Grievance("internal", "no"),)
    assert end_of(one.hear(Bye("stopping"), 100.0)) is LinkEnd.LEFT


def test_garbage_is_answered_a_few_times() -> None:
    one = opening()
    for _ in range(UNUSABLE_IN_OPENING):
        assert one.hear(USELESS, 100.0) == ()
    assert end_of(one.hear(USELESS, 100.0)) is LinkEnd.VIOLATION


def test_each_step_has_a_deadline() -> None:
    one = opening()
    assert one.tick(99.9 + OPENING_S) == ()
    assert end_of(one.tick(100.0 + OPENING_S)) is LinkEnd.VIOLATION


def test_a_deadline_of_ours_is_not_the_agents_fault_and_begins_with_what_it_has_presented() -> None:
    one = opening()
    one.hear(HELLO, 109.0)
    assert one.tick(100.0 + OPENING_S) == ()
    assert end_of(one.tick(109.0 + OPENING_S)) is LinkEnd.GOING_AWAY


@pytest.mark.parametrize(
    ("agent", "peer", "seen", "how"),
    [
        ("agent", "ours", 5, Meeting.RESUME),
        ("agent", "ours", 9, Meeting.RESUME),
        ("agent", "ours", 4, Meeting.FORGOTTEN),
        ("agent", "ours", 10, Meeting.FORGOTTEN),
        ("agent", "", 0, Meeting.ANEW),
        ("agent", "an older one of ours", 7, Meeting.ANEW),
        ("another", "", 0, Meeting.ANEW),
        ("another", "ours", 0, Meeting.ANEW),
        ("another", "ours", 7, Meeting.FORGOTTEN),
        ("another", "an older one of ours", 7, Meeting.ANEW),
    ],
)
def test_where_both_stand(agent: str, peer: str, seen: int, how: Meeting) -> None:
    link = LinkState(HostId("host-1"), "agent", heard=3, next_seq=10, confirmed=5)
    hello = Hello("n" * 16, agent, peer, seen, "1.0.0", "linux-amd64", "web-1")
    assert meeting(hello, link, "ours") is how


def test_who_never_spoke_begins_anew() -> None:
    link = LinkState(HostId("host-1"))
    assert meeting(HELLO, link, "ours") is Meeting.ANEW


def test_an_allowance_is_used_up_and_comes_back() -> None:
    allowance = Allowance(3.0, 0.5, 100.0)
    assert [allowance.take(1.0, 100.0) for _ in range(4)] == [True, True, True, False]
    assert allowance.wait_s(1.0, 100.0) == 2.0
    assert not allowance.take(1.0, 101.0)
    assert allowance.take(1.0, 102.0)
    assert allowance.wait_s(3.0, 1000.0) == 0.0
    assert not allowance.take(3.5, 1000.0), "it holds no more than that"
