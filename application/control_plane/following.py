"""Following jobs live: what is kept of them is read, then what comes, until they are over."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from application.control_plane.happenings import Happenings, Watch
from application.control_plane.paging import pages_of
from application.ports.clock import Clock
from application.ports.job_store import JobQuery, JobStore
from domain.fleet.access import EVERYWHERE, Reach
from domain.fleet.job import DeploymentId, FeedEntry, FeedKind, FleetJob, FleetJobState, is_over
from domain.fleet.page import MAX_PAGE

PAGE: Final = 32
"""Entries in memory for a follower; one has 64 KiB at most."""
IDLE_S: Final = 15.0
"""After so long without news the follower is told that there is none."""
IDS_AT_ONCE: Final = MAX_PAGE


@dataclass(frozen=True, slots=True)
class Part:
    """What a follower gets: entries, or none as nothing has happened for a while.

    The last part has `ended`: how many jobs are in which state, which are all over, and of which no
    entry is left to tell.
    """

    entries: Sequence[FeedEntry] = ()
    ended: Mapping[FleetJobState, int] | None = None


@dataclass(frozen=True, slots=True)
class _Followed:
    """A job, or all jobs of a deployment."""

    job_id: str | None = None
    deployment_id: DeploymentId | None = None
    within: Reach = EVERYWHERE


class Following:
    """Reads feeds. Nothing is kept for a follower between two of its questions.

    Of a deployment that is followed, the ids of its jobs are, once for all who follow it.
    """

    def __init__(self, *, store: JobStore, happenings: Happenings, clock: Clock) -> None:
        self._store = store
        self._happenings = happenings
        self._clock = clock

    async def job(
        self, job_id: str, after: int, within: Reach = EVERYWHERE
    ) -> AsyncGenerator[Part, None]:
        """A job's feed behind an entry, for as long as its host is in reach.

        Raises `NotFound`, `Busy`, before the first part.
        """
        await self._store.job(job_id)
        self._happenings.check_room()
        return self._parts(_Followed(job_id=job_id, within=within), after)

    async def deployment(
        self, deployment_id: str, after: int, within: Reach = EVERYWHERE
    ) -> AsyncGenerator[Part, None]:
        """The feeds of a deployment's jobs, in one, of hosts in reach. Raises as `job` does."""
        deployment = await self._store.deployment(DeploymentId(deployment_id))
        followed = _Followed(deployment_id=deployment.id, within=within)
        jobs = sum((await self._tally(followed)).values())
        is_known = self._happenings.is_watched(deployment.id)
        self._happenings.check_room(jobs=0 if is_known else jobs)
        return self._parts(followed, after)

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
        """What is kept of a job's output, in the order in which it came; and where it is cut."""
        after = 0
        while entries := await self._store.feed(job_id=job_id, after=after, limit=PAGE):
            for entry in entries:
                if entry.kind is not FeedKind.STATE:
                    yield entry
            after = entries[-1].number

    async def _parts(self, followed: _Followed, after: int) -> AsyncGenerator[Part, None]:
        async with self._watching(followed) as watch:
            # Counting all jobs at each news would take too long: it is done when as many have ended
            # as were still to end.
            to_end, ended = 0, None
            while True:
                if to_end <= 0:
                    # Before the entries: what ends a job afterwards is in the next look.
                    tally = await self._tally(followed)
                    to_end = sum(jobs for state, jobs in tally.items() if not is_over(state))
                    ended = None if to_end else tally
                while entries := await self._store.feed(
                    job_id=followed.job_id,
                    deployment_id=followed.deployment_id,
                    after=after,
                    limit=PAGE,
                    within=followed.within,
                ):
                    after = entries[-1].number
                    to_end -= sum(
                        each.state is not None and is_over(each.state) for each in entries
                    )
                    yield Part(entries)
                if ended is not None:
                    yield Part(ended=ended)
                    return
                if to_end > 0 and not await self._has_news(watch):
                    to_end = 0
                    yield Part()

    @contextlib.asynccontextmanager
    async def _watching(self, followed: _Followed) -> AsyncIterator[Watch]:
        if followed.job_id is not None:
            with self._happenings.watching([followed.job_id]) as watch:
                yield watch
            return
        deployment_id = followed.deployment_id
        assert deployment_id is not None
        is_known = self._happenings.is_watched(deployment_id)
        job_ids = [] if is_known else await self._ids_of(deployment_id)
        with self._happenings.watching_deployment(deployment_id, job_ids) as watch:
            yield watch

    async def _ids_of(self, deployment_id: DeploymentId) -> list[str]:
        query = JobQuery(deployment_id=deployment_id)
        whole = pages_of(lambda page: self._store.jobs(query, page), IDS_AT_ONCE)
        async with aclosing(whole) as pages:
            return [job.id async for jobs in pages for job in jobs]

    async def _tally(self, followed: _Followed) -> Mapping[FleetJobState, int]:
        if followed.deployment_id is not None:
            tallies = await self._store.tallies([followed.deployment_id], followed.within)
            return tallies.get(followed.deployment_id, {})
        assert followed.job_id is not None
        return {(await self._store.job(followed.job_id)).state: 1}

    async def _has_news(self, watch: Watch) -> bool:
        try:
            async with self._clock.timeout(IDLE_S):
                await watch.news()
        except TimeoutError:
            return False
        return True
