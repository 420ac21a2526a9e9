"""How many commands, and of what size, may wait and run at once."""

from __future__ import annotations

from dataclasses import dataclass

from domain.commands import Command, weight_of
from domain.errors import Busy


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """Bounds on what waits and runs together (open) and on what runs. Sizes in bytes."""

    open_jobs: int = 1024
    open_bytes: int = 64 * 1024 * 1024
    running_projects: int = 8


class Room:
    """What is open, counted. A command is in it from before it is written down until it has ended."""

    def __init__(self, limits: DispatchLimits) -> None:
        self._limits = limits
        self._jobs = 0
        self._bytes = 0

    def check(self, command: Command) -> None:
        """Raise `Busy` where too much is open already."""
        if self._jobs >= self._limits.open_jobs:
            raise Busy(f"{self._jobs} commands are waiting or running on this agent")
        if self._jobs and self._bytes + weight_of(command) > self._limits.open_bytes:
            raise Busy("the commands that wait on this agent hold too much memory")

    def take(self, command: Command) -> None:
        """Count a command in, whether there is room or not."""
        self._jobs += 1
        self._bytes += weight_of(command)

    def free(self, command: Command) -> None:
        """Count it out."""
        self._jobs -= 1
        self._bytes -= weight_of(command)
