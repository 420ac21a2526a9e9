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
MOST_JOBS: Final = 500_000
"""So many jobs the deployments may have together that are followed; some 200 bytes each."""


class Watch:
    """One follower's view: whether something has happened since it last looked."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    async def news(self) -> None:
        """Wait until something has happened since the last call; look only then."""
        await self._news.wait()
        self._news.clear()

    def ring(self) -> None:
        """Say that something has happened."""
        self._news.set()


class _Deployment:
    """One that is followed, with its jobs: they are kept once, however many follow it."""

    def __init__(self, job_ids: Collection[str]) -> None:
        self.job_ids = tuple(job_ids)
        self.watches: set[Watch] = set()


class Happenings:
    """Who follows which job, within this process."""

    def __init__(self, limit: int = MAX_WATCHES, most_jobs: int = MOST_JOBS) -> None:
        self._limit = limit
        self._most_jobs = most_jobs
        self._by_job: dict[str, set[Watch]] = {}
        self._watches: set[Watch] = set()
        self._deployments: dict[str, _Deployment] = {}
        self._deployment_of: dict[str, _Deployment] = {}

    @property
    def watches(self) -> int:
        """How many follow something."""
        return len(self._watches)

    def tell(self, job_ids: Iterable[str]) -> None:
        """Say that these jobs have changed, or have printed."""
        deployments: dict[_Deployment, None] = {}
        for job_id in job_ids:
            for watch in self._by_job.get(job_id, ()):
                watch.ring()
            if (deployment := self._deployment_of.get(job_id)) is not None:
                deployments[deployment] = None
        for deployment in deployments:
            for watch in deployment.watches:
                watch.ring()

    def check_room(self, *, jobs: int = 0) -> None:
        """Raise `Busy` where too many follow something, or deployments with `jobs` jobs more."""
        if len(self._watches) >= self._limit:
            raise Busy(f"{self._limit} requests follow jobs")
        self._check_jobs(jobs)

    def is_watched(self, deployment_id: str) -> bool:
        """Whether somebody follows the deployment, so that its jobs are known."""
        return deployment_id in self._deployments

    @contextlib.contextmanager
    def watching(self, job_ids: Collection[str]) -> Iterator[Watch]:
        """Follow jobs for as long as the context lasts; begin before reading where they are.

        Raises `Busy` where too many follow something.
        """
        jobs = frozenset(job_ids)
        with self._watch() as watch:
            for job_id in jobs:
                self._by_job.setdefault(job_id, set()).add(watch)
            try:
                yield watch
            finally:
                for job_id in jobs:
                    watchers = self._by_job[job_id]
                    watchers.discard(watch)
                    if not watchers:
                        del self._by_job[job_id]

    @contextlib.contextmanager
    def watching_deployment(self, deployment_id: str, job_ids: Collection[str]) -> Iterator[Watch]:
        """Follow all jobs of a deployment, as `watching` does.

        Where it `is_watched`, its jobs are known, and need not be given again.
        """
        with self._watch() as watch:
            deployment = self._deployments.get(deployment_id)
            if deployment is None:
                self._check_jobs(len(job_ids))
                deployment = self._deployments[deployment_id] = _Deployment(job_ids)
                self._deployment_of |= dict.fromkeys(deployment.job_ids, deployment)
            deployment.watches.add(watch)
            try:
                yield watch
            finally:
                deployment.watches.discard(watch)
                if not deployment.watches:
                    del self._deployments[deployment_id]
                    for job_id in deployment.job_ids:
                        del self._deployment_of[job_id]

    def _check_jobs(self, more: int) -> None:
        if len(self._deployment_of) + more > self._most_jobs:
            raise Busy(f"the deployments that are followed have {len(self._deployment_of)} jobs")

    @contextlib.contextmanager
    def _watch(self) -> Iterator[Watch]:
        self.check_room()
        watch = Watch()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
