"""The control plane's end of a link, told as what is heard and what is said."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from domain.fleet.host import HostId
from domain.fleet.host_effects import (
    EndOfLink,
    GoOnSending,
    Grievance,
    HostEffect,
    LinkEnd,
    NoteFacts,
    Take,
)
from domain.fleet.host_session import CHATTER, ERRORS_WAITING, GAP_TOLD, HostSession
from domain.fleet.link_state import LinkState, Recorded
from domain.job import JobState
from domain.link_messages import (
    Accept,
    Acknowledge,
    Bye,
    Heard,
    Heartbeat,
    Hello,
    MissedMessage,
    OutputChunk,
    OutputPosition,
    PeerError,
    Said,
    Unusable,
)

HOST = HostId("host-1")
HELLO = Hello("n" * 16, "agent", "", 0, "1.0.0", "linux-amd64", "web-1")


class Script:
    """A session; `taken` is what it wants written down."""

    def __init__(self, heard: int = 0, peer_has: int = 0, heartbeat_s: float = 30.0) -> None:
        self.now = 100.0
        self.session = HostSession(
            heard=heard, peer_has=peer_has, heartbeat_s=heartbeat_s, now=self.now
        )
        self.taken: list[object] = []

    def hear(self, *messages: Said | Unusable) -> list[HostEffect]:
        """Other effects than that something is to be written down."""
        effects = [
            effect for message in messages for effect in self.session.hear(message, self.now)
        ]
        self.taken += [effect.message for effect in effects if isinstance(effect, Take)]
        return [effect for effect in effects if not isinstance(effect, Take)]

    def write(self, heard: int, *strays: str, **seen: OutputPosition) -> list[HostEffect]:
        recorded = Recorded(LinkState(HOST, "agent", heard), strays=strays, output_seen=seen)
        return list(self.session.recorded(recorded, self.now))

    def said(self) -> list[Heard]:
        found: list[Heard] = []
        while (message := self.session.next_message(self.now)) is not None:
            found.append(message)
        return found

    def send(self, *seqs: int, size: int = 100) -> None:
        for seq in seqs:
            assert self.session.has_room(size)
            self.session.note_sent(seq, size, self.now)

    def tick(self, silence_s: float = 0.0) -> list[HostEffect]:
        return list(self.session.tick(self.now, silence_s))


def accept(seq: int, ack: int | None = None) -> Accept:
    return Accept(seq, f"job-{seq}", JobState.ACCEPTED, ack=ack)


def chunk(offset: int = 0) -> OutputChunk:
    return OutputChunk("job-1", OutputPosition("apply", 1, offset), b"printed")


def end_of(effects: list[HostEffect]) -> LinkEnd:
    (effect,) = effects
    assert isinstance(effect, EndOfLink)
    return effect.end


# What the agent says is acknowledged once it is written down.


def test_nothing_is_acknowledged_before_it_is_written_down() -> None:
    script = Script()
    assert script.hear(accept(1), accept(2)) == []
    assert script.taken == [accept(1), accept(2)]
    assert script.said() == []
    script.write(2)
    assert script.said() == [Acknowledge(2)]
    assert script.said() == []


def test_what_was_heard_on_an_earlier_link_goes_on() -> None:
    script = Script(heard=7)
    script.hear(accept(8))
    assert script.taken == [accept(8)]


def test_a_message_that_comes_again_is_dropped_and_acknowledged_again() -> None:
    script = Script(heard=2)
    script.hear(accept(2))
    assert script.taken == []
    assert script.said() == [Acknowledge(2)]


def test_a_message_that_comes_again_while_it_is_written_down_is_not_written_twice() -> None:
    script = Script()
    script.hear(accept(1), accept(1))
    assert script.taken == [accept(1)]


def test_a_gap_is_told_once() -> None:
    script = Script()
    script.hear(accept(2), accept(3))
    assert script.taken == []
    assert script.said() == [MissedMessage(1, 0)]
    script.hear(accept(4))
    assert script.said() == []
    script.hear(accept(1), accept(2))
    assert script.taken == [accept(1), accept(2)]


def test_a_gap_that_stays_is_told_again_in_the_place_of_heartbeats_and_then_ends_the_link() -> None:
    script = Script()
    script.hear(accept(2))
    told = script.said()
    for _ in range(GAP_TOLD):
        assert script.tick() == []
        script.now += 30
        told += script.said()
    assert told == [MissedMessage(1, 0)] * (1 + GAP_TOLD)
    assert end_of(script.tick()) is LinkEnd.VIOLATION


def test_output_is_acknowledged_by_its_place() -> None:
    script = Script()
    script.hear(chunk())
    assert script.taken == [chunk()]
    assert script.said() == []
    seen = OutputPosition("apply", 1, 7)
    script.write(0, **{"job-1": seen})
    assert script.said() == [Acknowledge(0, {"job-1": seen})]


def test_places_of_several_writes_are_told_together() -> None:
    script = Script()
    script.write(0, a=OutputPosition("pull", 1, 7), b=OutputPosition("pull", 1, 1))
    script.write(0, a=OutputPosition("apply", 1, 2))
    (ack,) = script.said()
    assert isinstance(ack, Acknowledge)
    assert ack.output_seen == {
        "a": OutputPosition("apply", 1, 2),
        "b": OutputPosition("pull", 1, 1),
    }


# What is sent to the agent.


def test_what_is_sent_is_under_way_until_it_is_acknowledged() -> None:
    script = Script()
    script.send(1, 2)
    assert script.session.sent == 2
    assert script.hear(accept(1, ack=2)) == [GoOnSending()]
    assert script.session.confirmed == 2
    assert script.hear(accept(2, ack=2)) == []


def test_the_window_has_256_messages() -> None:
    script = Script()
    script.send(*range(1, 257))
    assert not script.session.has_room(1)
    script.hear(Acknowledge(1))
    assert script.session.has_room(1)


def test_the_window_has_a_mebibyte_and_one_message_always() -> None:
    script = Script()
    script.send(1, size=8 << 20)
    assert not script.session.has_room(1)
    script.hear(Acknowledge(1))
    script.send(2, size=(1 << 20) - 10)
    assert script.session.has_room(10)
    assert not script.session.has_room(11)


def test_what_the_agent_misses_is_sent_again() -> None:
    script = Script()
    script.send(1, 2, 3)
    script.hear(Acknowledge(1))
    assert script.hear(MissedMessage(2)) == [GoOnSending()]
    assert script.session.sent == 1
    script.send(2)
    assert script.hear(Acknowledge(3)) == [GoOnSending()], "it had come the first time"
    assert script.session.sent == 3


@pytest.mark.parametrize("expected", [0, 1, 5])
def test_it_cannot_miss_what_it_has_or_what_was_never_sent(expected: int) -> None:
    script = Script(peer_has=1)
    script.send(2, 3)
    assert end_of(script.hear(MissedMessage(expected))) is LinkEnd.VIOLATION


def test_it_may_expect_what_comes_next() -> None:
    script = Script()
    script.send(1)
    assert script.hear(MissedMessage(2)) == [GoOnSending()]
    assert script.session.sent == 1


def test_it_cannot_acknowledge_what_was_not_sent() -> None:
    script = Script()
    script.send(1)
    assert end_of(script.hear(Acknowledge(2))) is LinkEnd.VIOLATION


def test_it_may_acknowledge_what_is_to_be_sent_again() -> None:
    script = Script()
    script.send(1, 2)
    script.hear(MissedMessage(1))
    assert script.hear(Acknowledge(2)) == [GoOnSending()]


def test_a_command_acknowledges_too() -> None:
    script = Script()
    script.hear(accept(1))
    script.write(1)
    assert script.session.ack() == 1
    script.send(1)
    assert script.said() == []


# Other messages.


def test_facts_are_noted() -> None:
    script = Script()
    assert script.hear(Heartbeat({"load": 1.5})) == [NoteFacts({"load": 1.5})]


def test_what_cannot_be_used_is_told_and_changes_nothing() -> None:
    script = Script()
    assert script.hear(Unusable(InvalidInput("type", "is missing"))) == []
    assert script.said() == [PeerError("invalid_input", "type: is missing")]


def test_complaints_do_not_pile_up() -> None:
    script = Script()
    for _ in range(3 * ERRORS_WAITING):
        script.hear(Unusable(InvalidInput("type", "is missing")))
    assert len(script.said()) == ERRORS_WAITING


def test_an_error_is_not_answered() -> None:
    script = Script()
    assert script.hear(PeerError("internal", "no")) == [Grievance("internal", "no")]
    assert script.said() == []


def test_what_is_about_other_hosts_jobs_is_told() -> None:
    script = Script()
    script.hear(accept(1))
    assert script.write(1, "job-1") == []
    assert script.said() == [
        PeerError("not_found", "job 'job-1' is none of this host's"),
        Acknowledge(1),
    ]


def test_bye_ends_the_link() -> None:
    assert end_of(Script().hear(Bye("stopping"))) is LinkEnd.LEFT


def test_a_second_hello_is_a_violation() -> None:
    assert end_of(Script().hear(HELLO)) is LinkEnd.VIOLATION


@pytest.mark.parametrize(
    "message",
    [
        Heartbeat(),
        Acknowledge(0),
        PeerError("internal", "no"),
        Unusable(InvalidInput("type", "is missing")),
        MissedMessage(1),
        accept(5),
    ],
    ids=lambda message: type(message).__name__,
)
def test_an_agent_that_floods_is_put_out(message: Said) -> None:
    script = Script()
    effects: list[HostEffect] = []
    for _ in range(CHATTER + 1):
        effects = script.hear(message)
        script.said()
        if any(isinstance(effect, EndOfLink) for effect in effects):
            break
    assert end_of(effects) is LinkEnd.TOO_MUCH


def test_a_long_message_that_brings_nothing_counts_for_many() -> None:
    session = Script().session
    for _ in range(7):
        assert session.hear(Heartbeat(), 100.0, 1 << 20) == (NoteFacts({}),)
    (end,) = session.hear(Heartbeat(), 100.0, 1 << 20)
    assert isinstance(end, EndOfLink)
    assert end.end is LinkEnd.TOO_MUCH


def test_an_agent_that_floods_with_other_hosts_jobs_is_put_out() -> None:
    script = Script()
    assert end_of(script.write(0, *["x"] * 101)) is LinkEnd.TOO_MUCH


def test_an_agent_that_reports_what_a_restored_backup_does_not_know_is_not_put_out() -> None:
    script = Script()
    ids = tuple(f"job-{n}" for n in range(4096))
    link = LinkState(HOST, "agent", len(ids))
    told = Recorded(link, strays=ids, forgotten=ids)
    assert script.session.recorded(told, script.now) == ()
    assert isinstance(script.said()[0], PeerError)
    others = tuple(f"other-{n}" for n in range(101))
    told = Recorded(link, strays=(*ids, *others), forgotten=ids)
    assert end_of(list(script.session.recorded(told, script.now))) is LinkEnd.TOO_MUCH


def test_an_agent_that_reports_as_fast_as_it_can_is_not() -> None:
    script = Script()
    for seq in range(1, 5 * CHATTER):
        assert script.hear(accept(seq)) == []
        assert script.hear(chunk(seq)) == []


# Time.


def test_something_is_said_in_time_for_the_heartbeat() -> None:
    script = Script()
    script.now += 28
    assert script.said() == []
    assert script.session.due_at(script.now, 0.0) == 129.0
    script.now += 1
    assert script.said() == [Heartbeat(ack=0)]
    assert script.said() == []


def test_a_command_is_a_heartbeat() -> None:
    script = Script()
    script.now += 20
    script.send(1)
    script.now += 20
    assert script.said() == []


def test_silence_ends_the_link() -> None:
    script = Script()
    assert script.tick(39.9) == []
    assert end_of(script.tick(40.0)) is LinkEnd.SILENT
    assert script.session.due_at(100.0, 30.0) == 110.0


def test_what_is_not_acknowledged_for_two_minutes_ends_the_link() -> None:
    script = Script()
    script.send(1)
    script.now += 60
    script.send(2)
    script.now += 59
    assert script.tick() == []
    script.said()
    assert script.session.due_at(script.now, 0.0) == script.now + 1
    script.now += 1
    assert end_of(script.tick()) is LinkEnd.TOO_SLOW


def test_what_has_not_left_cannot_be_acknowledged_yet() -> None:
    script = Script()
    script.send(1, size=8 << 20)
    script.now += 100
    script.session.still_going_out(script.now)
    script.now += 100
    assert script.tick() == []
    script.now += 20
    assert end_of(script.tick()) is LinkEnd.TOO_SLOW
