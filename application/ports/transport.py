"""How commands reach the agent and events leave it."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from domain.events import Event
from domain.link_messages import Ending, Heard, Said
from domain.messages import Message

SEQUENCED: Final = 2
"""The version of the protocol whose links are `SequencedLink`s."""


class Link(Protocol):
    """One live connection of protocol v1.

    One task receives and one task sends; `close` may come from anywhere.
    Every method except `close` raises `TransportLost` once the link is gone.
    """

    @property
    def version(self) -> Literal[1]:
        """Which protocol the peer speaks."""
        ...

    async def receive(self) -> Message:
        """Wait for the next message. Bad input arrives as a message too and never ends the link.

        Cancelling it loses no message.
        """
        ...

    async def send(self, event: Event) -> None:
        """Hand an event over. Returning means that it left this process, not that it arrived."""
        ...

    async def confirm(self) -> None:
        """Return when the peer has proven that everything sent before this call has reached it."""
        ...

    async def close(self, reason: str) -> None:
        """Say that this side goes away, and release the connection, in bounded time.

        Never raises; harmless on a link that is gone, and a second time.
        """
        ...


class SequencedLink(Protocol):
    """One live connection of protocol v2; tasks and errors as on a `Link`.

    It has no keepalive of its own: who uses it says and hears heartbeats, and watches `silence_s`.
    """

    @property
    def version(self) -> Literal[2]:
        """Which protocol the peer speaks."""
        ...

    @property
    def silence_s(self) -> float:
        """Seconds since the peer gave its last sign of life, which any byte of it is."""
        ...

    async def hear(self) -> Heard:
        """Wait for the next message; what cannot be used arrives as `Unusable` and ends nothing.

        Cancelling it loses no message.
        """
        ...

    async def say(self, message: Said) -> None:
        """Hand a message over; waits while the peer takes nothing."""
        ...

    async def close(self, ending: Ending, reason: str) -> None:
        """Close with the code that the ending has on the wire; otherwise as `Link.close`."""
        ...


class Transport(Protocol):
    """A way to get a link. The caller owns retries and the time between them."""

    async def connect(self) -> Link | SequencedLink:
        """Make one attempt, with a deadline of its own on each stage.

        The peer chooses the version of the protocol.

        Raises `TransportLost` where another attempt may do, `TransportRefused` where a person has to
        change something first. Cancelling it leaves no connection behind.
        """
        ...
