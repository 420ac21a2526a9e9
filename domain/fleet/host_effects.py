"""What the control plane's end of a link asks of whoever owns it, and why it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from domain.link_messages import Enroll, Hello, OutputChunk, SequencedSaid


class LinkEnd(Enum):
    """Why a link ends; what has a close code in docs/protocol-v2.md has it beside it."""

    LEFT = "left"
    """The agent has said BYE."""
    SILENT = "silent"
    """Nothing has come for too long: there is nobody to say anything to."""
    VIOLATION = "violation"
    """4400."""
    UNPROVEN = "unproven"
    """4401."""
    REVOKED = "revoked"
    """4403."""
    TOO_SLOW = "too slow"
    """4408."""
    REPLACED = "replaced"
    """4409."""
    TOO_MUCH = "too much"
    """4429."""
    GOING_AWAY = "going away"
    """4503."""
    BROKEN = "broken"
    """Our own fault."""


@dataclass(frozen=True, slots=True)
class CheckEnrolment:
    """Find out whether this may become a host, and call `enrolled`."""

    enroll: Enroll


@dataclass(frozen=True, slots=True)
class CheckProof:
    """Find out whether this is who it says it is, and welcome it."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Take:
    """Write it down: it is the next, or a piece of output."""

    message: SequencedSaid | OutputChunk


@dataclass(frozen=True, slots=True)
class GoOnSending:
    """There is room again for messages of ours, or one is to be sent again."""


@dataclass(frozen=True, slots=True)
class NoteFacts:
    """What the agent says of its host."""

    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class EndOfLink:
    """Close the link; there is nothing more to be had from it."""

    end: LinkEnd
    reason: str


@dataclass(frozen=True, slots=True)
class Grievance:
    """The agent says that something of ours cannot be used: for the log."""

    code: str
    error: str


OpeningEffect = CheckEnrolment | CheckProof | EndOfLink | Grievance
HostEffect = Take | GoOnSending | NoteFacts | EndOfLink | Grievance

GO_ON: Final = (GoOnSending(),)
"""One for all links: most messages cause this, or nothing."""
