"""The opening of a link between two that have keys, as the agent goes through it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

import pytest

from domain.identity import (
    Membership,
    enroll_text,
    enrolled_text,
    fingerprint_of,
    hello_text,
    token_hash_of,
    welcome_text,
)
from domain.link_messages import (
    Acknowledge,
    Bye,
    Challenge,
    Ending,
    Enroll,
    Enrolled,
    GoAway,
    Heard,
    Heartbeat,
    Hello,
    PeerError,
    Welcome,
)
from domain.proving import ByKey
from domain.session import OPENING_S, Phase
from domain.session_effects import Complaint, Distrust, EndLink, Leave, Pin
from tests.fakes.identity import FakeKeys
from tests.unit.session_script import NONCE, Script, command, ending

HOST: Final = FakeKeys("host")
PLANE: Final = FakeKeys("control plane")
STRANGER: Final = FakeKeys("stranger")
TOKEN: Final = "the-token"
ID: Final = "host_1"
MEMBER: Final = Membership(ID, PLANE.public_key)
ASKED: Final = "c" * 16
CHALLENGE: Final = Challenge(ASKED, public_key=PLANE.public_key)


def member() -> Script:
    """The agent of a host."""
    return Script(proof=ByKey(HOST, MEMBER))


def newcomer(pin: str | None = None) -> Script:
    """An agent that is to become one."""
    return Script(proof=ByKey(HOST, None, token=TOKEN, pin=pin))


def enrolled(keys: FakeKeys = PLANE, *, host_id: str = ID, nonce: str = NONCE) -> Enrolled:
    return Enrolled(host_id, keys.sign(enrolled_text(ASKED, nonce, host_id, HOST.public_key)))


def welcome(keys: FakeKeys = PLANE, *, host_id: str = ID, nonce: str = NONCE) -> Welcome:
    text = welcome_text(ASKED, nonce, host_id, "s", "peer")
    return Welcome("s", "peer", 0, signature=keys.sign(text))


def greeting(script: Script) -> Hello | Enroll:
    (said,) = script.said()
    assert isinstance(said, Hello | Enroll)
    return said


def distrust(script: Script, message: Heard) -> str:
    (effect,) = script.hear(message)
    assert isinstance(effect, Distrust)
    return effect.reason


# A host.


def test_a_host_signs_its_hello_with_what_this_link_alone_has() -> None:
    script = member()
    assert script.hear(CHALLENGE) == []
    hello = greeting(script)
    assert isinstance(hello, Hello)
    assert hello.host_id == ID
    text = hello_text(ASKED, NONCE, ID, "agent", PLANE.public_key)
    assert HOST.is_signed(text, hello.signature, HOST.public_key)


def test_a_signed_welcome_opens_the_link() -> None:
    script = member()
    script.hear(CHALLENGE)
    script.said()
    assert script.hear(welcome()) == []
    assert script.session.phase is Phase.OPEN
    assert script.said() == [Acknowledge(0)]


def test_the_hello_behind_is_the_same_as_without_a_key() -> None:
    script, other = member(), Script()
    for each in (script, other):
        each.hear(CHALLENGE)
    signed = greeting(script)
    assert isinstance(signed, Hello)
    assert dataclasses.replace(signed, host_id="", signature="") == greeting(other)


@pytest.mark.parametrize("key", ["", "no key", HOST.public_key[:-1]])
def test_who_shows_no_key_is_told_nothing(key: str) -> None:
    script = member()
    assert "shows no key" in distrust(script, Challenge(ASKED, public_key=key))
    assert script.said() == []


def test_who_shows_another_key_is_told_nothing() -> None:
    script = member()
    why = distrust(script, Challenge(ASKED, public_key=STRANGER.public_key))
    assert fingerprint_of(STRANGER.public_key) in why
    assert fingerprint_of(PLANE.public_key) in why
    assert script.said() == []


WELCOMES: Final[dict[str, Welcome]] = {
    "unsigned": dataclasses.replace(welcome(), signature=""),
    "no signature": dataclasses.replace(welcome(), signature="x"),
    "signed by another": welcome(STRANGER),
    "signed by the host itself": welcome(HOST),
    "of another session": dataclasses.replace(welcome(), session="t"),
    "of another epoch": dataclasses.replace(welcome(), epoch="another"),
    "for another host": welcome(host_id="host_2"),
    "for an earlier link": welcome(nonce="m" * 16),
    "for another message": dataclasses.replace(welcome(), signature=enrolled().signature),
}


@pytest.mark.parametrize("message", WELCOMES.values(), ids=WELCOMES.keys())
def test_a_welcome_that_proves_nothing_opens_nothing(message: Welcome) -> None:
    script = member()
    script.hear(CHALLENGE)
    script.said()
    why = distrust(script, message)
    assert f"the signature in WELCOME is {'wrong' if message.signature else 'missing'}" in why
    assert script.session.phase is Phase.WELCOME_DUE


def test_a_welcome_to_a_hello_that_was_not_said_proves_nothing() -> None:
    script = member()
    script.hear(CHALLENGE)
    distrust(script, welcome(nonce=""))


def test_a_host_is_not_enrolled_again() -> None:
    script = member()
    assert script.hear(enrolled()) == script.hear(enrolled())
    script.hear(CHALLENGE)
    assert ending(script.hear(enrolled())) is Ending.VIOLATION


# One that is to become a host.


def test_a_newcomer_says_with_which_token_and_key() -> None:
    script = newcomer()
    script.hear(CHALLENGE)
    said = greeting(script)
    text = enroll_text(ASKED, NONCE, token_hash_of(TOKEN), HOST.public_key, PLANE.public_key)
    assert said == Enroll(
        nonce=NONCE,
        token=TOKEN,
        public_key=HOST.public_key,
        signature=HOST.sign(text),
        version="1.0.0",
        architecture="linux-amd64",
        hostname="web-1",
    )


def test_a_newcomer_pins_whom_it_met_and_goes_on_when_that_is_done() -> None:
    script = newcomer()
    script.hear(CHALLENGE)
    script.said()
    assert script.hear(enrolled()) == [Pin(MEMBER)]
    assert script.said() == []
    script.now += 100  # A slow disk is no fault of the peer's.
    assert script.tick() == []
    script.session.pinned(script.now)
    hello = greeting(script)
    assert isinstance(hello, Hello)
    text = hello_text(ASKED, NONCE, ID, "agent", PLANE.public_key)
    assert hello.signature == HOST.sign(text)
    assert script.hear(welcome()) == []
    assert script.session.phase is Phase.OPEN


@pytest.mark.parametrize("pin", [PLANE.public_key, fingerprint_of(PLANE.public_key)])
def test_a_newcomer_enrols_where_it_was_told_to(pin: str) -> None:
    script = newcomer(pin)
    assert script.hear(CHALLENGE) == []
    assert isinstance(greeting(script), Enroll)


@pytest.mark.parametrize("pin", [STRANGER.public_key, fingerprint_of(STRANGER.public_key)])
def test_a_newcomer_gives_its_token_to_nobody_else(pin: str) -> None:
    script = newcomer(pin)
    why = distrust(script, CHALLENGE)
    assert fingerprint_of(STRANGER.public_key) in why
    assert script.said() == []


def test_a_newcomer_does_not_enrol_where_there_is_no_key() -> None:
    script = newcomer()
    assert "shows no key" in distrust(script, Challenge(ASKED))
    assert script.said() == []


ANSWERS: Final[dict[str, Enrolled]] = {
    "no signature": Enrolled(ID, "x"),
    "signed by another": enrolled(STRANGER),
    "signed by the host itself": enrolled(HOST),
    "another host": dataclasses.replace(enrolled(), host_id="host_2"),
    "for an earlier link": enrolled(nonce="m" * 16),
    "for another message": Enrolled(ID, welcome().signature),
}


@pytest.mark.parametrize("message", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_that_proves_nothing_pins_nothing(message: Enrolled) -> None:
    script = newcomer()
    script.hear(CHALLENGE)
    script.said()
    assert "the signature in ENROLLED is wrong" in distrust(script, message)
    assert script.said() == []


def test_a_welcome_to_a_newcomer_is_out_of_place() -> None:
    script = newcomer()
    script.hear(CHALLENGE)
    script.said()
    assert ending(script.hear(welcome())) is Ending.VIOLATION


def test_a_welcome_before_the_hello_of_a_newcomer_proves_nothing() -> None:
    script = newcomer()
    script.hear(CHALLENGE)
    script.said()
    script.hear(enrolled())
    assert ending(script.hear(welcome())) is Ending.VIOLATION
    script.session.pinned(script.now)
    assert "WELCOME" in distrust(script, welcome())


@pytest.mark.parametrize(
    "message",
    [command(1), Acknowledge(0), Heartbeat(), CHALLENGE, enrolled()],
    ids=lambda message: type(message).__name__,
)
@pytest.mark.parametrize("pinning", [False, True])
def test_nothing_is_taken_from_who_has_not_proven_who_it_is(message: Heard, pinning: bool) -> None:
    script = newcomer() if pinning else member()
    script.hear(CHALLENGE)
    script.said()
    if pinning:
        script.hear(enrolled())
    assert ending(script.hear(message)) is Ending.VIOLATION


HARMLESS: Final[list[tuple[Heard, type]]] = [
    (Bye("gone"), EndLink),
    (GoAway(1.0, "full"), Leave),
    (PeerError("protocol", "what?"), Complaint),
]


@pytest.mark.parametrize(("message", "effect"), HARMLESS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("make", [member, newcomer])
def test_goodbyes_are_heard_at_any_time(
    make: Callable[[], Script], message: Heard, effect: type
) -> None:
    script = make()
    script.hear(CHALLENGE)
    (found,) = script.hear(message)
    assert isinstance(found, effect)


def test_an_answer_to_an_enrolment_has_ten_seconds() -> None:
    script = newcomer()
    script.now += OPENING_S - 1
    script.hear(CHALLENGE)
    script.now += OPENING_S - 1
    assert script.tick() == []
    script.now += 1
    assert script.tick() == [EndLink(Ending.VIOLATION, "no ENROLLED came within 10 s")]


def test_the_welcome_behind_an_enrolment_has_ten_seconds_too() -> None:
    script = newcomer()
    script.hear(CHALLENGE)
    script.said()
    script.hear(enrolled())
    script.now += 60
    script.session.pinned(script.now)
    script.now += OPENING_S - 1
    assert script.tick() == []
    script.now += 1
    assert script.tick() == [EndLink(Ending.VIOLATION, "no WELCOME came within 10 s")]


# One with a bearer token.


def test_who_uses_a_token_does_not_look_at_keys() -> None:
    script = Script()
    assert script.hear(CHALLENGE) == []
    assert isinstance(greeting(script), Hello)
    assert script.hear(welcome(STRANGER)) == []
    assert script.session.phase is Phase.OPEN


def test_who_uses_a_token_is_enrolled_nowhere() -> None:
    script = Script()
    script.hear(CHALLENGE)
    assert ending(script.hear(enrolled())) is Ending.VIOLATION
