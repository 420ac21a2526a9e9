"""What of the peer's durable messages has come on one link, and what the peer is to be told of that."""

from __future__ import annotations

from domain.ledger import Ledger
from domain.link_messages import MissedMessage


class ReceiveWindow:
    """The next message that is taken is the one after all that are durable here, or about to be.

    `arriving` holds the numbers of those that are about to be. Asking for an acknowledgement, or for
    the message that a gap was found before, counts as having sent it.
    """

    def __init__(self, ledger: Ledger, arriving: set[int]) -> None:
        self._ledger = ledger
        self._arriving = arriving
        self._expected = 0
        self._missed = 0
        """The one that the peer was last told to be missing."""
        self._acked = 0
        self._is_ack_due = False
        self.is_gap_due = False
        """Whether the peer is to be told which message is missing."""

    @property
    def is_ack_due(self) -> bool:
        """Whether the peer is to be told how far all is durable."""
        return self._is_ack_due or self._ledger.heard > self._acked

    @property
    def has_gap(self) -> bool:
        """Whether what the peer was told to be missing is missing still."""
        return self._missed == self._expected

    def open(self) -> None:
        """The link's opening is over: whatever comes from now on has a number."""
        self._expected = self._next_after(self._ledger.heard)
        self._is_ack_due = True

    def take(self, seq: int) -> bool:
        """Take in the message of this number; false where it is one that nothing is done about."""
        if seq < self._expected:
            self._is_ack_due = True
            return False
        if seq > self._expected:
            # Once for each gap: what follows it in the same burst says nothing new.
            self.is_gap_due = self.is_gap_due or not self.has_gap
            self._missed = self._expected
            return False
        self._arriving.add(seq)
        self._expected = self._next_after(seq)
        return True

    def ack(self) -> int:
        """How far all is durable here."""
        self._acked, self._is_ack_due = self._ledger.heard, False
        return self._acked

    def gap(self) -> MissedMessage:
        """What to say of the message that is missing."""
        self.is_gap_due = False
        return MissedMessage(self._expected, self.ack())

    def _next_after(self, seq: int) -> int:
        seq += 1
        while self._ledger.has_heard(seq) or seq in self._arriving:
            seq += 1
        return seq
