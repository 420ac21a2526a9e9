"""One link of protocol v2, as the agent sees it. Sans-I/O: messages and time in, effects and messages out.

What must not be forgotten is in the ledger; a session is what is true of one link only. It never
waits: `hear` and `tick` say what is to be done, `next_message` what is to be sent, and whoever owns
it carries that out. docs/protocol-v2.md is what it follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from domain.ledger import Ledger
from domain.link_messages import (
    Acknowledge,
    Bye,
    CancelMessage,
    Challenge,
    CommandMessage,
    Ending,
    GoAway,
    Heard,
    Heartbeat,
    Hello,
    MissedMessage,
    OutputPosition,
    PeerError,
    RunningJob,
    Said,
    SequencedHeard,
    SequencedSaid,
    Unusable,
    Welcome,
)
from domain.output_flow import OutputFlow
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
GENERATIONS_TOLD: Final = 1000
JOBS_TOLD: Final = 1024


class Phase(Enum):
    """How far the opening has come."""

    CHALLENGE_DUE = auto()
    WELCOME_DUE = auto()
    MEETING = auto()
    """The peer is another one than last time, and that is being written down."""
    OPEN = auto()


@dataclass(frozen=True, slots=True)
class Introduction:
    """What Hello says of the agent that the ledger does not know. `nonce` is fresh for each link."""

    nonce: str
    version: str
    architecture: str
    hostname: str
    capabilities: tuple[str, ...] = ("output", "cancel")


class Session:
    """`arriving` holds the numbers of messages that are delivered and not durable yet.

    It outlives the link, as the journal goes on writing when a link ends: one set for all sessions.
    """

    def __init__(
        self,
        ledger: Ledger,
        introduction: Introduction,
        *,
        arriving: set[int],
        now: float,
        printed: Callable[[str], OutputPosition | None] = lambda _job_id: None,
        facts: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._ledger = ledger
        self._introduction = introduction
        self._arriving = arriving
        self._printed = printed
        self._facts = facts
        self.is_printed: Callable[[str], bool] = lambda _job_id: True
        """Whether all that a job has printed was sent, so that its result may follow."""
        self._window = SendWindow(ledger)
        self.output = OutputFlow()
        self.phase = Phase.CHALLENGE_DUE
        self.heartbeat_s = 15.0
        self._deadline = now + OPENING_S
        self._spoke_at = now
        self._greets = False
        self._expected = 0
        self._nack_due = False
        self._missed = 0
        self._ack_due = False
        self._acked = 0
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
            case Challenge() | Welcome():
                return self._hear_opening(message, now)
            case _:
                if self._is_opening:
                    return _violation("the opening is not over")
                return self._hear_open(message)

    def tick(self, now: float, silence_s: float) -> list[Effect]:
        """Say what is overdue. To be called at the latest when `due_at` has come."""
        if self._is_opening and now >= self._deadline:
            what = "CHALLENGE" if self.phase is Phase.CHALLENGE_DUE else "WELCOME"
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
        return self.phase in (Phase.CHALLENGE_DUE, Phase.WELCOME_DUE)

    def _choose(self, now: float) -> Said | None:
        if self._greets:
            self._greets = False
            return self._hello()
        if self._errors:
            return self._errors.popleft()
        if self.phase is not Phase.OPEN:
            return None
        if self._nack_due:
            self._nack_due = False
            return MissedMessage(self._expected, self._ack())
        if (notice := self._next_notice(now)) is not None:
            self._ack()
            return notice
        if self._ack_due or self._ledger.heard > self._acked:
            return Acknowledge(self._ack())
        if (chunk := self.output.next()) is not None:
            return chunk
        if now < self._spoke_at + self.heartbeat_s:
            return None
        if self._missed == self._expected:  # The gap that was told is still there.
            return MissedMessage(self._expected, self._ack())
        return Heartbeat(self._facts(), self._ack())

    def _next_notice(self, now: float) -> SequencedSaid | None:
        result_of = self._window.result_due
        if result_of is not None and not self.is_printed(result_of):
            return None
        return self._window.next(self._ledger.heard, now)

    def _hello(self) -> Hello:
        ledger, who = self._ledger, self._introduction
        running = [
            RunningJob(job.job_id, job.state, self._printed(job.job_id))
            for job, _ in zip(ledger.open_jobs(), range(JOBS_TOLD), strict=False)
        ]
        generations = list(ledger.generations.items())[-GENERATIONS_TOLD:]
        return Hello(
            nonce=who.nonce,
            epoch=ledger.epoch,
            peer_epoch=ledger.peer_epoch,
            last_seq_seen=ledger.heard,
            version=who.version,
            architecture=who.architecture,
            hostname=who.hostname,
            capabilities=who.capabilities,
            running=tuple(running),
            generations=dict(generations),
        )

    def _ack(self) -> int:
        self._acked, self._ack_due = self._ledger.heard, False
        return self._acked

    def _hear_opening(self, message: Challenge | Welcome, now: float) -> list[Effect]:
        if isinstance(message, Challenge) and self.phase is Phase.CHALLENGE_DUE:
            self.phase, self._greets = Phase.WELCOME_DUE, True
            self._deadline = now + OPENING_S
            return []
        if isinstance(message, Welcome) and self.phase is Phase.WELCOME_DUE:
            return self._hear_welcome(message)
        return _violation(f"{type(message).__name__.upper()} does not belong here")

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
        self._expected = self._next_expected(self._ledger.heard + 1)
        self._ack_due = True

    def _hear_sequenced(self, message: SequencedHeard) -> list[Effect]:
        if self.phase is Phase.MEETING:
            # Too early: whose message it is has yet to be written down. It is asked for again.
            self._nack_due = True
            return []
        if message.seq < self._expected:
            self._ack_due = True
            return []
        if message.seq > self._expected:
            # Once for each gap: what follows it in the same burst says nothing new.
            self._nack_due = self._nack_due or self._missed != self._expected
            self._missed = self._expected
            return []
        self._arriving.add(message.seq)
        self._expected = self._next_expected(message.seq + 1)
        return [Deliver(message)]

    def _next_expected(self, seq: int) -> int:
        while self._ledger.has_heard(seq) or seq in self._arriving:
            seq += 1
        return seq

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
