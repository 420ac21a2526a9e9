"""How commands reach the agent and events leave it."""

from __future__ import annotations

from typing import Protocol

from domain.events import Event
from domain.messages import Message


class Link(Protocol):
    """One live connection. One task receives and one task sends; `close` may come from anywhere.

    Every method except `close` raises `TransportLost` once the link is gone.
    """

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


class Transport(Protocol):
    """A way to get a link. The caller owns retries and the time between them."""

    async def connect(self) -> Link:
        """Make one attempt, with a deadline of its own on each stage.

        Raises `TransportLost` where another attempt may do, `TransportRefused` where a person has to
        change something first. Cancelling it leaves no connection behind.
        """
        ...
