"""A connection of an agent's that a test is the other end of."""

from __future__ import annotations

from typing import TypeVar

from application.ports.agent_link import CommandFrame
from domain.fleet.host_effects import LinkEnd
from domain.link_messages import Heard

T = TypeVar("T")


class FakeAgentLink:
    """An `AgentLink`: `sent` is all that was said, in order; a test says who is slow, and how silent."""

    def __init__(self) -> None:
        self.sent: list[Heard | CommandFrame] = []
        self.closed: tuple[LinkEnd, str] | None = None
        self.is_writable = True
        self.silence_s = 0.0
        self.is_deaf = False
        self.pings = 0
        self.holds_pongs = False
        self._read = 0

    def say(self, message: Heard) -> None:
        """See `AgentLink`."""
        if self.closed is None:
            self.sent.append(message)

    def command(self, frame: CommandFrame) -> int:
        """See `AgentLink`."""
        if self.closed is None:
            self.sent.append(frame)
        return len(frame.payload)

    def ping(self) -> None:
        """See `AgentLink`."""
        self.pings += 1

    def hold_pongs(self) -> None:
        """See `AgentLink`."""
        self.holds_pongs = True

    def release_pongs(self) -> None:
        """See `AgentLink`."""
        self.holds_pongs = False

    def pause_hearing(self) -> None:
        """See `AgentLink`."""
        self.is_deaf = True

    def resume_hearing(self) -> None:
        """See `AgentLink`."""
        self.is_deaf = False

    def close(self, end: LinkEnd, reason: str) -> None:
        """See `AgentLink`."""
        if self.closed is None:
            self.closed = (end, reason)

    # For tests.

    def news(self) -> list[Heard | CommandFrame]:
        """What was said since the last time."""
        found = self.sent[self._read :]
        self._read = len(self.sent)
        return found

    def said(self, kind: type[T]) -> list[T]:
        """All of a kind that was ever said."""
        return [message for message in self.sent if isinstance(message, kind)]
