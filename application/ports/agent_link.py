"""The control plane's end of a connection that an agent has made, and who receives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from domain.events import Event
from domain.fleet.host import Host
from domain.fleet.host_effects import LinkEnd
from domain.link_messages import Heard, Said, Unusable

Spoken = Said | Event | Unusable
"""What an agent says: `Said` over v2, an `Event` over v1, and `Unusable` over either."""


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """Who asks to be connected, by its own account but for `address`; all of it is text of at most 256.

    `protocol` is the one that was selected of those that were offered. `token` is empty where none
    was presented. `address` is the machine's that connects, or what a trusted proxy says of it.
    """

    protocol: Literal[1, 2]
    address: str
    token: str = field(default="", repr=False)
    version: str = ""
    architecture: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class CommandFrame:
    """A command as it is sent: `payload` is the payload's JSON, as it was kept.

    Over v1 there is no `seq`, and none of what only v2 knows is said; the deadline then stands in
    the payload.
    """

    job_id: str
    kind: str
    payload: bytes = field(repr=False)
    seq: int = 0
    generation: int | None = None
    deadline_s: float | None = None
    ack: int | None = None


class AgentLink(Protocol):
    """One live connection. Nothing here waits, and nothing raises, also once the link is gone.

    What is said goes out in order. It is buffered where the agent does not read: whoever says more
    than a few small messages looks at `is_writable` first. An agent that reads nothing for long is
    given up by the link itself.
    """

    @property
    def is_writable(self) -> bool:
        """Whether the agent keeps up with what is said to it."""
        ...

    @property
    def silence_s(self) -> float:
        """Seconds since its last sign of life, which any byte is; 0 while it is not listened to."""
        ...

    def say(self, message: Heard) -> None:
        """Say something of v2 that is no command."""
        ...

    def command(self, frame: CommandFrame) -> int:
        """Send a command of either version; returns how many bytes that took."""
        ...

    def ping(self) -> None:
        """Cause a sign of life; for agents that say nothing by themselves."""
        ...

    def hold_pongs(self) -> None:
        """Answer no ping until `release_pongs`: a pong tells an agent of v1 that what it said is safe.

        Harmless again.
        """
        ...

    def release_pongs(self) -> None:
        """Answer the pings that were held, and later ones. Harmless again."""
        ...

    def pause_hearing(self) -> None:
        """Read nothing more; what was read already is still heard. Harmless again."""
        ...

    def resume_hearing(self) -> None:
        """Read again. Harmless again."""
        ...

    def close(self, end: LinkEnd, reason: str) -> None:
        """Say why, as far as there is somebody to say it to, and end the link in bounded time.

        Nothing more is heard. Harmless again.
        """
        ...


class LinkOwner(Protocol):
    """Whoever attends to one link; called by the link, never while it is itself calling the link."""

    @property
    def is_known(self) -> bool:
        """Whether its agent has proven who it is; until then it may be anybody."""
        ...

    def heard(self, message: Spoken, size: int) -> None:
        """The agent has said something, in a frame of so many bytes."""
        ...

    def writable(self) -> None:
        """The agent keeps up again."""
        ...

    def ended(self, why: str, *, answered: bool) -> None:
        """The link is gone; the last call, once. `answered`: the agent has confirmed our close."""
        ...


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A connection that is not taken; `retry_after_s` is 0 where that would change nothing."""

    end: LinkEnd
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LetIn:
    """A connection that is taken; `host` is whose it is where that is known already.

    `since` is when that began to be looked up, on the monotonic clock.
    """

    since: float
    host: Host | None = None


class Reception(Protocol):
    """Where connections of agents come in."""

    async def admit(self, request: UpgradeRequest) -> LetIn | TurnedAway:
        """Say whether the upgrade is to be accepted; over v1 the agent has to prove who it is by then.

        Takes its time where the answer is no, so that guessing is slow. Never raises.
        """
        ...

    def attend(self, link: AgentLink, request: UpgradeRequest, let_in: LetIn) -> LinkOwner:
        """Take over a link that has just been made; what is said at once, is said before it returns."""
        ...
