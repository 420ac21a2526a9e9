"""Whoever started the agent and looks after it."""

from __future__ import annotations

from typing import Protocol


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

    def stopping(self) -> None:
        """The agent is about to end."""
        ...
