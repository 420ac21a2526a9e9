"""The machine that the agent runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What does not change while the agent runs.

    `architecture` is protocol v1's `os-arch`, such as `linux-amd64`.
    """

    agent_version: str
    architecture: str
    hostname: str


class Host(Protocol):
    """The machine, as far as the agent reports it."""

    def facts(self) -> HostFacts:
        """The facts, read once."""
        ...

    def uptime_s(self) -> float | None:
        """Seconds since the machine booted; None where it does not tell."""
        ...

    def load(self) -> float | None:
        """The load average of the last minute; None where the host does not tell."""
        ...

    def disk_free_bytes(self) -> int | None:
        """Room on the disk that holds the agent's state; None where the host does not tell."""
        ...
