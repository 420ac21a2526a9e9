"""How the control plane that tests use deals with its agent, and what it does wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.agent_frames import Message


@dataclass(frozen=True)
class Terms:
    """What holds for as long as a control plane runs."""

    heartbeat_s: float = 15.0
    """How long it is silent at most. The agent is told the nearest that the protocol allows."""
    silence_s: float = 40.0
    """After so long without a message, a link is given up."""
    slow_s: float = 30.0
    """An agent that does not take a message for so long is too slow."""
    token: str | None = None
    """The only bearer token that is good; every one is where this is None."""


@dataclass
class Faults:
    """What goes wrong. A test changes it at any time; `ReferencePeer.heal` puts all of it right."""

    hold_commits: bool = False
    """What is received is neither written down nor acknowledged: a crash forgets it."""
    withhold_acks: bool = False
    """What is received is written down, and not acknowledged."""
    silent: bool = False
    """No heartbeats are sent."""
    swallow_hellos: int = 0
    """So many of the next HELLOs are not answered; their links stay open."""
    lose_enrolled: int = 0
    """So many of the next ENROLLs are taken, and the links cut in the place of an answer."""
    forge: frozenset[str] = frozenset()
    """The messages, ENROLLED or WELCOME, that another control plane's key signs."""
    leave_unsigned: bool = False
    """WELCOME has no signature."""
    hide_key: bool = False
    """CHALLENGE has no key."""
    refuse_with: int | None = None
    """HELLO is answered by closing with this code."""
    lose: int = 0
    """So many of the next durable messages are taken for sent, and are not: that makes gaps."""
    crash_when: Callable[[Message], bool] | None = None
    """At the first message for which it is true, the control plane crashes: once it is received,"""
    crash_after_commit: bool = False
    """or with this, once it is written down, and before it is acknowledged."""


class LinkOver(Exception):
    """The control plane ends a link, with a code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Crashed(Exception):
    """The whole control plane goes down."""
