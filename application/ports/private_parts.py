"""Where the private parts of commands lie while their jobs are open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from domain.commands import Command


class PrivateParts(Protocol):
    """Environments, files and passwords, which the journal must not hold: it keeps what it was given.

    Each lies in a file of its own, for the agent's user alone. Every method raises
    `StorageUnavailable` (`NoSpace` where the disk is full) where the disk does not do what is asked.
    """

    async def keep(self, job_id: str, command: Command) -> None:
        """Make the whole command durable under its job's id, in the place of what was there."""
        ...

    async def restore(self, job_id: str) -> Command:
        """The whole command again; raises `StorageUnavailable` where it is gone or spoilt."""
        ...

    async def wipe(self, job_id: str) -> None:
        """Remove it. Harmless where there is none."""
        ...

    async def wipe_all_but(self, job_ids: Iterable[str]) -> None:
        """Remove what belongs to none of these jobs: what an agent that was killed has left."""
        ...
