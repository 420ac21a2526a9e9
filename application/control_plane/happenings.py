"""Tells those who follow a job that something has happened to it; what, they read in the store.

Only the news that there is news is passed on, so a follower that is slow, or never looks, costs
nothing: for it there is one news, whatever happened. What happened is durable before it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from domain.errors import Busy

MAX_WATCHES: Final = 4096
"""So many requests may follow something at the same time."""


class Watch:
    """One follower's view: whether something has happened since it last looked."""

    def __init__(self, job_ids: Collection[str]) -> None:
        self.job_ids = frozenset(job_ids)
        self._news = asyncio.Event()

    async def news(self) -> None:
        """Wait until something has happened since the last call; look only then."""
        await self._news.wait()
        self._news.clear()

    def ring(self) -> None:
        """Say that something has happened."""
        self._news.set()


class Happenings:
    """Who follows which job, within this process."""

    def __init__(self, limit: int = MAX_WATCHES) -> None:
        self._limit = limit
        self._by_job: dict[str, set[Watch]] = {}
        self._watches: set[Watch] = set()

    @property
    def watches(self) -> int:
        """How many follow something."""
        return len(self._watches)

    def tell(self, job_ids: Iterable[str]) -> None:
        """Say that these jobs have changed, or have printed."""
        for job_id in job_ids:
            for watch in self._by_job.get(job_id, ()):
                watch.ring()

    def check_room(self) -> None:
        """Raise `Busy` where too many follow something."""
        if len(self._watches) >= self._limit:
            raise Busy(f"{self._limit} requests follow jobs")

    @contextlib.contextmanager
    def watching(self, job_ids: Collection[str]) -> Iterator[Watch]:
        """Follow jobs for as long as the context lasts; begin before reading where they are.

        Raises `Busy` where too many follow something.
        """
        self.check_room()
        watch = Watch(job_ids)
        self._watches.add(watch)
        for job_id in watch.job_ids:
            self._by_job.setdefault(job_id, set()).add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            for job_id in watch.job_ids:
                watchers = self._by_job[job_id]
                watchers.discard(watch)
                if not watchers:
                    del self._by_job[job_id]
