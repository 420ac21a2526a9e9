"""One link of protocol v2, as the agent sees it. Sans-I/O: messages and time in, effects and messages out.

What must not be forgotten is in the ledger; a session is what is true of one link only. It never
waits: `hear` and `tick` say what is to be done, `next_message` what is to be sent, and whoever owns
it carries that out. docs/protocol-v2.md is what it follows.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final

from domain.greeting import hello
from domain.ledger import Ledger
from domain.link_messages import (
    Acknowledge,
    Bye,
    CancelMessage,
    Challenge,
    CommandMessage,
    Ending,
    Enroll,
    Enrolled,
    GoAway,
    Heard,
    Heartbeat,
    Hello,
    MissedMessage,
    OutputPosition,
    PeerError,
    Said,
    SequencedHeard,
    SequencedSaid,
    Unusable,
    Welcome,
)
from domain.output_flow import OutputFlow
from domain.proving import ByToken, Introduction, Proof
from domain.receive_window import ReceiveWindow
from domain.send_window import SendWindow
from domain.session_effects import (
    BeginEpoch,
    Complaint,
    Deliver,
    Effect,
    EndLink,
    Leave,
    MeetPeer,
    NoteConfirmed,
)

OPENING_S: Final = 10.0
SILENCE_S: Final = 40.0
UNACKNOWLEDGED_S: Final = 120.0
"""A peer that is alive, and does not acknowledge for so long, has lost something: connect again."""
ERRORS_WAITING: Final = 64
"""Complaints that wait to be sent; a peer that causes more, faster than it reads, gets no more."""


class Phase(Enum):
    """How far the opening has come."""

    CHALLENGE_DUE = auto()
    ENROLLED_DUE = auto()
    PINNING = auto()
    """This host has been enrolled, and that is being written down."""
    WELCOME_DUE = auto()
    MEETING = auto()
    """The peer is another one than last time, and that is being written down."""
    OPEN = auto()


class Session:
    """`arriving` holds the numbers of messages that are delivered and not durable yet.

    It outlives the link, as the journal goes on writing when a link ends: one set for all sessions.
    `generations` gives the highest ones among those messages, by Compose's project name.
    """

    def __init__(
        self,
        ledger: Ledger,
        introduction: Introduction,
        *,
        arriving: set[int],
        now: float,
        proof: Proof | None = None,
        printed: Callable[[str], OutputPosition | None] = lambda _job_id: None,
        generations: Callable[[], Mapping[str, int]] = dict,
        facts: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._ledger = ledger
        self._introduction = introduction
        self._proof: Proof = proof or ByToken()
        self._printed = printed
        self._generations = generations
        self._facts = facts
        self.is_printed: Callable[[str], bool] = lambda _job_id: True
        """Whether all that a job has printed was sent, so that its result may follow."""
        self._window = SendWindow(ledger)
        self._received = ReceiveWindow(ledger, arriving)
        self.output = OutputFlow()
        self.phase = Phase.CHALLENGE_DUE
        self.heartbeat_s = 15.0
        self._deadline = now + OPENING_S
        self._spoke_at = now
        self._greets = False
        self._prune_below = 0
        self._errors: deque[PeerError] = deque()

    def hear(self, message: Heard, now: float) -> list[Effect]:
        """Take a message in."""
        match message:
            case Bye():
                return [EndLink(Ending.GOING_AWAY, f"the control plane said: {message.reason}")]
            case GoAway():
                return [Leave(message.window_s, message.reason)]
            case PeerError():
                return [Complaint(message.code, message.error)]
            case Unusable():
                self._complain(message.error.code, str(message.error))
                return []
            case Challenge() | Enrolled() | Welcome():
                return self._hear_opening(message, now)
            case _:
                if self._is_opening:
                    return _violation("the opening is not over")
                return self._hear_open(message)

    def tick(self, now: float, silence_s: float) -> list[Effect]:
        """Say what is overdue. To be called at the latest when `due_at` has come."""
        if self._is_opening and now >= self._deadline:
            what = self.phase.name.removesuffix("_DUE")
            return [EndLink(Ending.VIOLATION, f"no {what} came within {OPENING_S:g} s")]
        if silence_s >= SILENCE_S:
            return [EndLink(Ending.GOING_AWAY, f"nothing was heard for {silence_s:.0f} s")]
        sent_at = self._window.waiting_since
        if sent_at is not None and now - sent_at >= UNACKNOWLEDGED_S:
            why = f"a message was not acknowledged for {now - sent_at:.0f} s"
            return [EndLink(Ending.TOO_SLOW, why)]
        return []

    def due_at(self, now: float, silence_s: float) -> float:
        """The moment at which `tick`, or `next_message` for a heartbeat, has to be asked again."""
        due = now + SILENCE_S - silence_s
        if self._is_opening:
            return min(due, self._deadline)
        if (sent_at := self._window.waiting_since) is not None:
            due = min(due, sent_at + UNACKNOWLEDGED_S)
        return min(due, self._spoke_at + self.heartbeat_s)

    def pinned(self, now: float) -> None:
        """`Pin` has been carried out."""
        self._greet(Phase.WELCOME_DUE, now)

    def peer_met(self) -> None:
        """`MeetPeer` has been carried out."""
        self._open(0)

    def next_message(self, now: float) -> Said | None:
        """The next message to send, which then counts as sent; None where there is none now."""
        message = self._choose(now)
        if message is not None:
            self._spoke_at = now
        return message

    @property
    def _is_opening(self) -> bool:
        return self.phase not in (Phase.MEETING, Phase.OPEN)

    def _choose(self, now: float) -> Said | None:
        if self._greets:
            self._greets = False
            return self._greeting()
        if self._errors:
            return self._errors.popleft()
        if self.phase is not Phase.OPEN:
            return None
        if self._received.is_gap_due:
            return self._received.gap()
        if (notice := self._next_notice(now)) is not None:
            self._received.ack()
            return notice
        if self._received.is_ack_due:
            return Acknowledge(self._received.ack())
        if (chunk := self.output.next()) is not None:
            return chunk
        if now < self._spoke_at + self.heartbeat_s:
            return None
        if self._received.has_gap:
            return self._received.gap()
        return Heartbeat(self._facts(), self._received.ack())

    def _next_notice(self, now: float) -> SequencedSaid | None:
        result_of = self._window.result_due
        if result_of is not None and not self.is_printed(result_of):
            return None
        return self._window.next(self._ledger.heard, now)

    def _greeting(self) -> Enroll | Hello:
        if self.phase is not Phase.ENROLLED_DUE:
            arriving = self._generations()
            said = hello(self._introduction, self._ledger, self._printed, arriving)
            return self._proof.sign(said)
        return self._proof.enroll(self._introduction)

    def _hear_opening(self, message: Challenge | Enrolled | Welcome, now: float) -> list[Effect]:
        match message, self.phase:
            case Challenge(), Phase.CHALLENGE_DUE:
                if (distrust := self._proof.meet(message)) is not None:
                    return [distrust]
                enrolls = self._proof.is_enrolling
                self._greet(Phase.ENROLLED_DUE if enrolls else Phase.WELCOME_DUE, now)
                return []
            case Enrolled(), Phase.ENROLLED_DUE:
                self.phase, self._deadline = Phase.PINNING, math.inf
                return [self._proof.accept(message)]
            case Welcome(), Phase.WELCOME_DUE:
                distrust = self._proof.doubt(message)
                return self._hear_welcome(message) if distrust is None else [distrust]
        return _violation(f"{type(message).__name__.upper()} does not belong here")

    def _greet(self, awaited: Phase, now: float) -> None:
        self.phase, self._greets = awaited, True
        self._deadline = now + OPENING_S

    def _hear_open(
        self, message: SequencedHeard | Acknowledge | MissedMessage | Heartbeat
    ) -> list[Effect]:
        if isinstance(message, Acknowledge):
            self.output.note_seen(message.output_seen)
            self._prune_below = max(self._prune_below, message.prune_below or 0)
        effects = self._hear_ack(message.ack)
        match message:
            case CommandMessage() | CancelMessage():
                effects += self._hear_sequenced(message)
            case MissedMessage():
                effects += self._hear_missed(message.expected)
            case Acknowledge() | Heartbeat():
                pass
        return effects

    def _hear_welcome(self, welcome: Welcome) -> list[Effect]:
        ledger = self._ledger
        self.heartbeat_s = welcome.heartbeat_s
        self.output.note_seen(welcome.output_seen)
        if welcome.epoch != ledger.peer_epoch:
            self.phase = Phase.MEETING
            return [MeetPeer(welcome.epoch)]
        if not ledger.confirmed <= welcome.last_seq_seen < ledger.next_seq:
            return [
                BeginEpoch(
                    f"the control plane has seen {welcome.last_seq_seen} messages of this agent, "
                    f"which has sent {ledger.next_seq - 1}, {ledger.confirmed} of them confirmed"
                )
            ]
        self._prune_below = welcome.prune_below
        self._open(welcome.last_seq_seen)
        return self._confirmed(welcome.last_seq_seen)

    def _open(self, peer_has: int) -> None:
        self.phase = Phase.OPEN
        self._window.resume(peer_has)
        self._received.open()

    def _hear_sequenced(self, message: SequencedHeard) -> list[Effect]:
        if self.phase is Phase.MEETING:
            # Too early: whose message it is has yet to be written down. It is asked for again.
            self._received.is_gap_due = True
            return []
        return [Deliver(message)] if self._received.take(message.seq) else []

    def _hear_ack(self, ack: int | None) -> list[Effect]:
        if ack is None or self.phase is not Phase.OPEN:
            return []
        if ack >= self._ledger.next_seq:
            return _violation(f"ack {ack} is of a message that was not sent")
        return self._confirmed(ack)

    def _confirmed(self, ack: int) -> list[Effect]:
        self._window.confirm(ack)
        if ack > self._ledger.confirmed or self._prune_below > self._ledger.prune_below:
            return [NoteConfirmed(self._window.confirmed, self._prune_below)]
        return []

    def _hear_missed(self, expected: int) -> list[Effect]:
        if self.phase is not Phase.OPEN:
            return []
        if not self._window.confirmed < expected <= self._window.reached + 1:
            return _violation(f"NACK expects {expected}, which is not under way")
        self._window.send_again_from(expected)
        return []

    def _complain(self, code: str, error: str) -> None:
        if len(self._errors) < ERRORS_WAITING:
            self._errors.append(PeerError(code, error))


def _violation(reason: str) -> list[Effect]:
    return [EndLink(Ending.VIOLATION, reason)]
