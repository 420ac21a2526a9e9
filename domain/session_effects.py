"""What a session asks of whoever owns it."""

from __future__ import annotations

from dataclasses import dataclass

from domain.identity import Membership
from domain.link_messages import Ending, SequencedHeard


@dataclass(frozen=True, slots=True)
class Deliver:
    """A durable message to write down and act on; it comes once in the life of the process."""

    message: SequencedHeard


@dataclass(frozen=True, slots=True)
class Pin:
    """Write down that this host is that one from now on, and call `pinned`."""

    membership: Membership


@dataclass(frozen=True, slots=True)
class Distrust:
    """Close the link: the peer is not who it has to be. It takes a person to change that."""

    reason: str


@dataclass(frozen=True, slots=True)
class MeetPeer:
    """Write down that this is the peer from now on, and call `peer_met`."""

    epoch: str


@dataclass(frozen=True, slots=True)
class BeginEpoch:
    """One of both sides has lost its memory of the other: begin a new epoch, and connect again."""

    why: str


@dataclass(frozen=True, slots=True)
class NoteConfirmed:
    """Write down what the peer has; that may take its time."""

    seq: int
    prune_below: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Connect again, at a random moment within `window_s` seconds."""

    window_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class EndLink:
    """Close the link; there is nothing more to be had from it."""

    ending: Ending
    reason: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """The peer says that something of ours cannot be used: for the log."""

    code: str
    error: str


Effect = (
    Deliver | Pin | Distrust | MeetPeer | BeginEpoch | NoteConfirmed | Leave | EndLink | Complaint
)
