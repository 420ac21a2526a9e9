"""Private parts of commands in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from domain.commands import Command
from domain.errors import NoSpace, StorageUnavailable


class FakePrivateParts:
    """Holds commands by the ids of their jobs.

    Set `fails_with` to have every call fail, and `is_full` to have every write fail; add an id to
    `spoilt` to spoil what is kept for it.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Command] = {}
        self.spoilt: set[str] = set()
        self.is_full = False
        self.fails_with: StorageUnavailable | None = None

    async def keep(self, job_id: str, command: Command) -> None:
        """See `PrivateParts`."""
        await asyncio.sleep(0)
        self._check()
        if self.is_full:
            raise NoSpace("no space left on the disk that holds /state/private")
        self.kept[job_id] = command
        self.spoilt.discard(job_id)

    async def restore(self, job_id: str) -> Command:
        """See `PrivateParts`."""
        await asyncio.sleep(0)
        self._check()
        what = f"what was sent in private for job '{job_id}'"
        if job_id not in self.kept:
            raise StorageUnavailable(f"{what} is gone")
        if job_id in self.spoilt:
            raise StorageUnavailable(f"{what} is damaged")
        return self.kept[job_id]

    async def wipe(self, job_id: str) -> None:
        """See `PrivateParts`."""
        await asyncio.sleep(0)
        self._check()
        self.kept.pop(job_id, None)

    async def wipe_all_but(self, job_ids: Iterable[str]) -> None:
        """See `PrivateParts`."""
        await asyncio.sleep(0)
        self._check()
        for gone in self.kept.keys() - set(job_ids):
            del self.kept[gone]

    def _check(self) -> None:
        if self.fails_with is not None:
            raise self.fails_with
