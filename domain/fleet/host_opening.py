"""The opening of a link of protocol v2, as the control plane sees it: from CHALLENGE to WELCOME.

Sans-I/O, as `domain.fleet.host_session` is, which takes over from it. Nobody is known yet: what is
heard here may come from anybody.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from domain.fleet.host_effects import (
    CheckEnrolment,
    CheckProof,
    EndOfLink,
    Grievance,
    LinkEnd,
    OpeningEffect,
)
from domain.link_messages import Bye, Challenge, Enroll, Hello, PeerError, Said, Unusable

OPENING_S: Final = 10.0
UNUSABLE_IN_OPENING: Final = 4
"""So many frames that are no messages are answered; who sends more is no agent."""


class _Stage(Enum):
    HELLO_DUE = auto()
    CHECKING = auto()
    """What has come is being checked, which may take a moment."""


class HostOpening:
    """`nonce` is fresh for each link. The agent may enrol once before it says HELLO."""

    __slots__ = ("_complaints", "_deadline", "_has_enrolled", "_stage", "challenge")

    def __init__(self, challenge: Challenge, now: float) -> None:
        self.challenge = challenge
        self._stage = _Stage.HELLO_DUE
        self._deadline = now + OPENING_S
        self._has_enrolled = False
        self._complaints = 0

    @property
    def is_checking(self) -> bool:
        """Whether the next step is ours."""
        return self._stage is _Stage.CHECKING

    @property
    def deadline(self) -> float:
        """When `tick` ends the link, unless something comes."""
        return self._deadline

    def hear(self, message: Said | Unusable, now: float) -> tuple[OpeningEffect, ...]:
        """Take a message in. What is unusable has to be answered with ERROR, unless the link ends."""
        match message:
            case Bye():
                return (EndOfLink(LinkEnd.LEFT, message.reason),)
            case PeerError():
                return (Grievance(message.code, message.error),)
            case Unusable():
                self._complaints += 1
                if self._complaints > UNUSABLE_IN_OPENING:
                    return _violation("this is no opening")
                return ()
            case Hello() if not self.is_checking:
                self._check(now)
                return (CheckProof(message),)
            case Enroll() if not self.is_checking and not self._has_enrolled:
                self._has_enrolled = True
                self._check(now)
                return (CheckEnrolment(message),)
            case _:
                return _violation(f"{type(message).__name__.upper()} does not belong here")

    def enrolled(self, now: float) -> None:
        """ENROLLED is sent; HELLO is due."""
        self._stage, self._deadline = _Stage.HELLO_DUE, now + OPENING_S

    def tick(self, now: float) -> tuple[OpeningEffect, ...]:
        """Say what is overdue."""
        if now < self._deadline:
            return ()
        if self.is_checking:
            # Ours is the delay; the agent gives up at about this moment, and comes again.
            return (EndOfLink(LinkEnd.GOING_AWAY, "too busy to open a link"),)
        return _violation(f"no HELLO came within {OPENING_S:g} s")

    def _check(self, now: float) -> None:
        self._stage, self._deadline = _Stage.CHECKING, now + OPENING_S


def _violation(reason: str) -> tuple[OpeningEffect, ...]:
    return (EndOfLink(LinkEnd.VIOLATION, reason),)
