"""A control plane's end of one link of protocol v2. Pure: messages and time in, messages out.

It writes down before it acknowledges: what is heard waits until `commit`, and is lost with the link's
object where the control plane crashes first.
"""

from __future__ import annotations

from typing import Final

from domain.link_messages import (
    Acknowledge,
    Bye,
    Challenge,
    Enroll,
    Heard,
    Heartbeat,
    Hello,
    MissedMessage,
    OutputChunk,
    OutputPosition,
    PeerError,
    Said,
    SequencedSaid,
    Unusable,
    Welcome,
)
from tests.simulation.database import Database
from tests.simulation.orders import AgentBroke
from tests.simulation.peer_proofs import CHALLENGE_NONCE, check_proof, enrolled, signed

WINDOW: Final = 256
SILENCE_S: Final = 40.0
UNACKNOWLEDGED_S: Final = 120.0


class PeerLink:
    """`is_over` once nothing more is to be had from it."""

    def __init__(self, database: Database, now: float, *, heartbeat_s: float = 15.0) -> None:
        self.database = database
        self.is_over = False
        self.is_open = False
        self.nacks_heard = 0
        self.duplicates = 0
        self._heartbeat_s = heartbeat_s
        self._spoke_at = now
        shown = "" if database.keys is None else database.keys.public_key
        self._opening: list[Heard] = [Challenge(CHALLENGE_NONCE, public_key=shown)]
        self._waiting: list[SequencedSaid | OutputChunk] = []
        self._waiting_seqs = 0
        self._sent = self._reached = 0
        self._sent_at: dict[int, float] = {}
        self._missed = 0
        self._nack: int | None = None
        self._ack_due = False

    @property
    def has_uncommitted(self) -> bool:
        """Whether `commit` has something to do."""
        return bool(self._waiting)

    def hear(self, message: Said | Unusable, now: float) -> None:
        """Take a message; raises `AgentBroke`."""
        match message:
            case Enroll() if not self.is_open and self.database.keys is not None:
                self._opening = [enrolled(self.database, message)]
            case Hello() if not self.is_open:
                check_proof(self.database, message)
                self._welcome(message)
            case Bye():
                self.is_over = True
            case PeerError() | Unusable() | Hello() | Enroll():
                raise AgentBroke(f"it says {message}")
            case _ if not self.is_open:
                raise AgentBroke(f"before WELCOME it says {message}")
            case OutputChunk():
                self._hear_ack(message.ack)
                self._waiting.append(message)
            case MissedMessage():
                self._hear_ack(message.ack)
                self._hear_missed(message.expected)
            case Acknowledge() | Heartbeat():
                self._hear_ack(message.ack)
            case _:
                self._hear_ack(message.ack)
                self._hear_sequenced(message)

    def commit(self) -> None:
        """Write down all that was heard."""
        waiting, self._waiting, self._waiting_seqs = self._waiting, [], 0
        for message in waiting:
            self.database.take(message)
        self._ack_due = self._ack_due or bool(waiting)

    def next_message(self, now: float) -> Heard | None:
        """The next message to send, which then counts as sent."""
        message = self._choose(now)
        if message is not None:
            self._spoke_at = now
        return message

    def tick(self, now: float, silence_s: float) -> None:
        """Give the link up where the agent is gone, or has lost something."""
        oldest = min(self._sent_at.values(), default=now)
        if silence_s >= SILENCE_S or now - oldest >= UNACKNOWLEDGED_S:
            self.is_over = True

    def due_at(self, now: float, silence_s: float) -> float:
        """When `tick` or `next_message` has to be asked again at the latest."""
        return min(now + SILENCE_S - silence_s, self._spoke_at + self._heartbeat_s)

    def _choose(self, now: float) -> Heard | None:
        if self._opening:
            return self._opening.pop()
        if not self.is_open:
            return None
        ack = self.database.seen
        if self._nack is not None:
            expected, self._nack = self._nack, None
            return MissedMessage(expected, ack)
        if self._sent < len(self.database.outgoing) and len(self._sent_at) < WINDOW:
            self._sent += 1
            self._reached = max(self._reached, self._sent)
            self._sent_at[self._sent] = now
            return self.database.outgoing[self._sent - 1]
        if self._ack_due:
            self._ack_due = False
            return Acknowledge(ack, self._positions(), self.database.prune_below)
        if now >= self._spoke_at + self._heartbeat_s:
            if self._missed == self._expected:
                return MissedMessage(self._expected, ack)
            return Heartbeat(ack=ack)
        return None

    @property
    def _expected(self) -> int:
        return self.database.seen + self._waiting_seqs + 1

    def _positions(self) -> dict[str, OutputPosition]:
        known = self.database.positions
        return {
            job_id: position
            for job_id, position in known.items()
            if not self.database.orders[job_id].results
        }

    def _welcome(self, hello: Hello) -> None:
        self.database.meet(hello)
        self._sent = self._reached = self.database.taken
        self.is_open = True
        welcome = Welcome(
            "session",
            self.database.epoch,
            self.database.seen,
            self.database.prune_below,
            self._heartbeat_s,
            self._positions(),
        )
        self._opening = [signed(self.database, hello, welcome)]

    def _hear_ack(self, ack: int | None) -> None:
        if ack is None:
            return
        if ack > self._reached:
            raise AgentBroke(f"it acknowledges {ack}, where {self._reached} were sent")
        self.database.take_ack(ack)
        self._sent = max(self._sent, self.database.taken)
        for seq in [seq for seq in self._sent_at if seq <= ack]:
            del self._sent_at[seq]

    def _hear_missed(self, expected: int) -> None:
        if not self.database.taken < expected <= self._reached + 1:
            raise AgentBroke(f"it misses {expected}, which is not under way")
        self.nacks_heard += 1
        self._sent = expected - 1
        for seq in [seq for seq in self._sent_at if seq >= expected]:
            del self._sent_at[seq]

    def _hear_sequenced(self, message: SequencedSaid) -> None:
        expected = self._expected
        if message.seq == expected:
            self._waiting.append(message)
            self._waiting_seqs += 1
        elif message.seq > expected:
            if self._missed != expected:
                self._nack = self._missed = expected
        else:
            self.duplicates += 1
            if message.seq <= self.database.seen:
                self.database.check_repeated(message)
                self._ack_due = True
