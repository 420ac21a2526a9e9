"""Whoever started the agent and looks after it."""

from __future__ import annotations

from typing import Protocol

from domain.link_status import LinkStatus


class ServiceManager(Protocol):
    """Told how the agent is. Never raises and never waits: an agent that nobody looks after is well."""

    @property
    def watchdog_s(self) -> float | None:
        """How long the agent may be silent before it is killed and started again; None for ever."""
        ...

    def ready(self) -> None:
        """The agent has recovered what it knows, and serves."""
        ...

    def alive(self) -> None:
        """The agent's event loop turns."""
        ...

    def status(self, status: LinkStatus) -> None:
        """How the link stands now, for people."""
        ...

    def stopping(self) -> None:
        """The agent is about to end."""
        ...
