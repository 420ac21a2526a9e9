"""Following jobs live: what is kept of them is read, then what comes, until they are over."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from application.control_plane.happenings import Happenings, Watch
from application.ports.clock import Clock
from application.ports.job_store import JobStore
from domain.fleet.job import DeploymentId, FeedEntry, FleetJob, is_over

PAGE: Final = 32
"""Entries in memory for a follower; one has 64 KiB at most."""
IDLE_S: Final = 15.0
"""After so long without news the follower is told that there is none."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a follower gets: entries, or none as nothing has happened for a while.

    The last part has `ended`: the jobs, which are all over, and of which no entry is left to tell.
    """

    entries: Sequence[FeedEntry] = ()
    ended: Sequence[FleetJob] = ()


class Following:
    """Reads feeds. Nothing is kept for a follower between two of its questions."""

    def __init__(self, *, store: JobStore, happenings: Happenings, clock: Clock) -> None:
        self._store = store
        self._happenings = happenings
        self._clock = clock

    async def job(self, job_id: str, after: int) -> AsyncGenerator[Part, None]:
        """A job's feed behind an entry. Raises `NotFound`, `Busy`, before the first part."""
        await self._store.job(job_id)
        self._happenings.check_room()
        return self._parts([job_id], after, job_id=job_id)

    async def deployment(self, deployment_id: str, after: int) -> AsyncGenerator[Part, None]:
        """The feeds of a deployment's jobs, in one. Raises as `job` does."""
        deployment = await self._store.deployment(DeploymentId(deployment_id))
        jobs = await self._store.jobs_of(deployment.id)
        self._happenings.check_room()
        return self._parts([job.id for job in jobs], after, deployment_id=deployment.id)

    async def until_over(self, job_id: str, seconds: float) -> FleetJob:
        """The job when it is over, or as it is after `seconds`. Raises `NotFound`, `Busy`."""
        with self._happenings.watching([job_id]) as watch:
            try:
                async with self._clock.timeout(seconds):
                    while not (job := await self._store.job(job_id)).is_over:
                        await watch.news()
                    return job
            except TimeoutError:
                return await self._store.job(job_id)

    async def output(self, job_id: str) -> AsyncGenerator[FeedEntry, None]:
        """What is kept of a job's output, in the order in which it came."""
        after = 0
        while entries := await self._store.feed(job_id=job_id, after=after, limit=PAGE):
            for entry in entries:
                if entry.content:
                    yield entry
            after = entries[-1].number

    async def _parts(
        self,
        job_ids: Sequence[str],
        after: int,
        *,
        job_id: str | None = None,
        deployment_id: DeploymentId | None = None,
    ) -> AsyncGenerator[Part, None]:
        with self._happenings.watching(job_ids) as watch:
            while True:
                # Before the entries: what ends a job afterwards is in the next look.
                are_over = await self._are_over(job_id, deployment_id)
                while entries := await self._store.feed(
                    job_id=job_id, deployment_id=deployment_id, after=after, limit=PAGE
                ):
                    after = entries[-1].number
                    yield Part(entries)
                if are_over:
                    yield Part(ended=await self._jobs(job_id, deployment_id))
                    return
                if not await self._has_news(watch):
                    yield Part()

    async def _are_over(self, job_id: str | None, deployment_id: DeploymentId | None) -> bool:
        if deployment_id is not None:
            tally = (await self._store.tallies([deployment_id])).get(deployment_id, {})
            return all(is_over(state) for state in tally)
        assert job_id is not None
        return (await self._store.job(job_id)).is_over

    async def _jobs(
        self, job_id: str | None, deployment_id: DeploymentId | None
    ) -> Sequence[FleetJob]:
        if deployment_id is not None:
            return await self._store.jobs_of(deployment_id)
        assert job_id is not None
        return [await self._store.job(job_id)]

    async def _has_news(self, watch: Watch) -> bool:
        try:
            async with self._clock.timeout(IDLE_S):
                await watch.news()
        except TimeoutError:
            return False
        return True
