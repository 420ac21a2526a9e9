"""One link of protocol v2 as the control plane sees it, once the agent is welcome.

Sans-I/O, the mirror of `domain.session`: messages and time in, effects and messages out. What must
not be forgotten is in the database; a session is what is true of one link only. It never waits:
`hear` and `tick` say what is to be done, `next_message` what is to be said. Commands are read from
the database by whoever owns it, who asks `has_room`, and tells with `note_sent` what is on its way.

Ten thousand of these live in one process: what is empty is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from domain.fleet.allowance import Allowance
from domain.fleet.host_effects import (
    GO_ON,
    EndOfLink,
    Grievance,
    HostEffect,
    LinkEnd,
    NoteFacts,
    Take,
)
from domain.fleet.in_flight import InFlight
from domain.fleet.link_state import Recorded
from domain.link_messages import (
    Accept,
    Acknowledge,
    Bye,
    Enroll,
    Heartbeat,
    Hello,
    MissedMessage,
    OutputChunk,
    OutputPosition,
    PeerError,
    Reject,
    Result,
    Said,
    SequencedSaid,
    Unusable,
)

SILENCE_S: Final = 40.0
UNACKNOWLEDGED_S: Final = 120.0
"""An agent that is alive, and does not acknowledge for so long, has lost something."""
EARLIER_S: Final = 1.0
"""So much before a heartbeat is due it is said: whoever looks after thousands comes by once a second."""
ERRORS_WAITING: Final = 64
"""Complaints that wait to be sent; an agent that causes more, faster than it reads, gets no more."""
GAP_TOLD: Final = 3
"""So often an agent is told that a message is missing; if it never comes, it cannot be had."""

CHATTER: Final = 2_000
CHATTER_PER_S: Final = 200
"""What an agent may say at once, and in the long run, that brings nothing to write down."""
_COSTS: Final[Mapping[type[object], int]] = {
    Acknowledge: 1,
    Heartbeat: 1,
    PeerError: 5,
    Unusable: 5,
    MissedMessage: 20,
}
"""A NACK makes us read from the database again, and send up to a mebibyte."""
_BYTES_THAT_COST_ONE: Final = 4096
_STRAY_COSTS: Final = 20


class HostSession:
    """`heard` is up to where the agent's messages are durable here, `peer_has` where ours are there."""

    __slots__ = (
        "_ack_due",
        "_acked",
        "_calm",
        "_confirmed",
        "_errors",
        "_expected",
        "_gap_told",
        "_heard",
        "_heartbeat_s",
        "_in_flight",
        "_missed",
        "_nack_due",
        "_output_seen",
        "_reached",
        "_sent",
        "_spoke_at",
    )

    def __init__(self, *, heard: int, peer_has: int, heartbeat_s: float, now: float) -> None:
        self._heartbeat_s = max(heartbeat_s - EARLIER_S, EARLIER_S)
        self._heard = self._acked = heard
        self._expected = heard + 1
        self._missed = 0
        self._gap_told = 0
        self._nack_due = False
        self._ack_due = False
        self._confirmed = self._sent = self._reached = peer_has
        self._in_flight: InFlight | None = None
        self._output_seen: dict[str, OutputPosition] | None = None
        self._errors: list[PeerError] | None = None
        self._spoke_at = now
        self._calm = Allowance(CHATTER, CHATTER_PER_S, now)

    # What comes in.

    def hear(self, message: Said | Unusable, now: float, size: int = 0) -> tuple[HostEffect, ...]:
        """Take a message in, which had so many bytes."""
        cost = _COSTS.get(type(message), 0)
        if cost and not self._calm.take(cost + size // _BYTES_THAT_COST_ONE, now):
            return _end(LinkEnd.TOO_MUCH, "too many messages that bring nothing")
        match message:
            case Accept() | Reject() | Result():
                return self._hear_ack(message.ack) + self._hear_sequenced(message, now)
            case OutputChunk():
                return (*self._hear_ack(message.ack), Take(message))
            case Heartbeat():
                return (*self._hear_ack(message.ack), NoteFacts(message.facts))
            case Acknowledge():
                return self._hear_ack(message.ack)
            case MissedMessage():
                return self._hear_ack(message.ack) + self._hear_missed(message.expected)
            case PeerError():
                return (Grievance(message.code, message.error),)
            case Bye():
                return _end(LinkEnd.LEFT, message.reason)
            case Unusable():
                self.complain(message.error.code, str(message.error))
                return ()
            case Hello() | Enroll():
                return _violation("the opening is over")

    def recorded(self, recorded: Recorded, now: float) -> tuple[HostEffect, ...]:
        """What was taken is written down, up to here."""
        self._heard = max(self._heard, recorded.link.heard)
        self._expected = max(self._expected, self._heard + 1)
        if recorded.output_seen:
            self._output_seen = {**(self._output_seen or {}), **recorded.output_seen}
            self._ack_due = True
        for job_id in recorded.strays:
            self.complain("not_found", f"job {job_id!r} is none of this host's")
        # Agents keep thousands of results of jobs that a restored backup does not know.
        free = len(recorded.forgotten)
        if not self._calm.take(_STRAY_COSTS * (len(recorded.strays) - free), now):
            return _end(LinkEnd.TOO_MUCH, "too much about jobs that are none of this host's")
        return ()

    def complain(self, code: str, error: str) -> None:
        """Something of the agent's cannot be used: it is to be told."""
        errors = self._errors = self._errors if self._errors is not None else []
        if len(errors) < ERRORS_WAITING:
            errors.append(PeerError(code, error))

    # What goes out.

    def next_message(
        self, now: float
    ) -> PeerError | MissedMessage | Acknowledge | Heartbeat | None:
        """The next message that is no command, which then counts as sent; None where there is none."""
        message = self._choose(now)
        if message is not None:
            self._spoke_at = now
        return message

    @property
    def sent(self) -> int:
        """The number behind which it goes on: of the last message sent, or known to be there."""
        return self._sent

    @property
    def confirmed(self) -> int:
        """Up to where our messages are durable there."""
        return self._confirmed

    def has_room(self, size: int = 0) -> bool:
        """Whether a message of that size may be sent now."""
        return self._in_flight is None or self._in_flight.has_room(size)

    def ack(self) -> int:
        """What a message of ours that is sent now acknowledges."""
        self._acked = self._heard
        return self._heard

    def note_sent(self, seq: int, size: int, now: float) -> None:
        """The message of that number, which comes right behind the last, is on its way."""
        assert seq == self._sent + 1
        self._sent = seq
        self._reached = max(self._reached, seq)
        self._in_flight = self._in_flight or InFlight()
        self._in_flight.add(seq, size, now)
        self._spoke_at = now

    def still_going_out(self, now: float) -> None:
        """The socket has not taken all that was sent: no acknowledgement can be expected yet."""
        self._spoke_at = now
        if self._in_flight is not None:
            self._in_flight.still_going_out(now)

    # What is overdue.

    def tick(self, now: float, silence_s: float) -> tuple[HostEffect, ...]:
        """Say what is overdue. To be called at the latest when `due_at` has come."""
        if silence_s >= SILENCE_S:
            return _end(LinkEnd.SILENT, f"nothing was heard for {silence_s:.0f} s")
        if self._gap_told > GAP_TOLD:
            return _violation(f"message {self._expected} does not come, though it was asked for")
        if self._in_flight is not None:
            waited_s = now - self._in_flight.waiting_since
            if waited_s >= UNACKNOWLEDGED_S:
                why = f"a message was not acknowledged for {waited_s:.0f} s"
                return _end(LinkEnd.TOO_SLOW, why)
        return ()

    def due_at(self, now: float, silence_s: float) -> float:
        """The moment at which `tick`, or `next_message` for a heartbeat, has to be asked again."""
        due = min(now + SILENCE_S - silence_s, self._spoke_at + self._heartbeat_s)
        if self._in_flight is not None:
            due = min(due, self._in_flight.waiting_since + UNACKNOWLEDGED_S)
        return due

    def _choose(self, now: float) -> PeerError | MissedMessage | Acknowledge | Heartbeat | None:
        if self._errors:
            error = self._errors.pop(0)
            self._errors = self._errors or None
            return error
        if self._nack_due:
            return self._miss()
        if self._ack_due or self._heard > self._acked:
            seen, self._output_seen = self._output_seen, None
            self._ack_due = False
            return Acknowledge(self.ack(), seen or {})
        if now < self._spoke_at + self._heartbeat_s:
            return None
        if self._missed == self._expected:  # The gap that was told is still there.
            return self._miss()
        return Heartbeat(ack=self.ack())

    def _miss(self) -> MissedMessage:
        self._nack_due = False
        self._gap_told += 1
        return MissedMessage(self._expected, self.ack())

    def _hear_sequenced(self, message: SequencedSaid, now: float) -> tuple[HostEffect, ...]:
        if message.seq == self._expected:
            self._expected += 1
            self._gap_told = 0
            return (Take(message),)
        if message.seq < self._expected:
            self._ack_due = True
        else:
            # Once for each gap: what follows it in the same burst says nothing new.
            self._nack_due = self._nack_due or self._missed != self._expected
            self._missed = self._expected
        if not self._calm.take(1, now):
            return _end(LinkEnd.TOO_MUCH, "too many messages that were not to be sent")
        return ()

    def _hear_ack(self, ack: int | None) -> tuple[HostEffect, ...]:
        if ack is None or ack <= self._confirmed:
            return ()
        if ack > self._reached:
            return _violation(f"ack {ack} is of a message that was not sent")
        self._confirmed = ack
        # What was to be sent again may have arrived the first time.
        self._sent = max(self._sent, ack)
        if self._in_flight is not None:
            self._in_flight.confirm(ack)
            self._in_flight = self._in_flight or None
        return GO_ON

    def _hear_missed(self, expected: int) -> tuple[HostEffect, ...]:
        if not self._confirmed < expected <= self._reached + 1:
            return _violation(f"NACK expects {expected}, which is not under way")
        self._sent = expected - 1
        if self._in_flight is not None:
            self._in_flight.take_back(expected)
            self._in_flight = self._in_flight or None
        return GO_ON


def _end(end: LinkEnd, reason: str) -> tuple[HostEffect, ...]:
    return (EndOfLink(end, reason),)


def _violation(reason: str) -> tuple[HostEffect, ...]:
    return _end(LinkEnd.VIOLATION, reason)
