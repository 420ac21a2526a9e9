"""What has to be done now and then: ending what has waited too long, forgetting what is old."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from application.control_plane.happenings import Happenings
from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.host_directory import HostDirectory
from application.ports.job_store import MOST_EXPIRED, JobStore
from application.ports.people import People
from domain.errors import InstaDeployError

logger = logging.getLogger(__name__)

EXPIRE_EVERY_S: Final = 5.0
PRUNE_EVERY_S: Final = 600.0
PRUNED_AT_ONCE: Final = 200
"""Few enough that nothing else waits long for the database."""
EXPIRED_TOKENS_S: Final = 7 * 24 * 3600.0
"""So long a token whose time is over is still listed: whoever wonders why it is not good sees it."""
RETENTION_S: Final = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How long output, logs and payloads of jobs that have ended are kept, and enrolments; seconds."""

    kept_s: float = RETENTION_S


class Chores:
    """Runs beside everything else. A database that fails is tried again the next time."""

    def __init__(
        self,
        *,
        store: JobStore,
        directory: HostDirectory,
        people: People,
        happenings: Happenings,
        clock: Clock,
        retention: Retention,
    ) -> None:
        self._store = store
        self._directory = directory
        self._people = people
        self._happenings = happenings
        self._clock = clock
        self._retention = retention

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(EXPIRE_EVERY_S, self.expire), name="expire jobs")
            group.create_task(self._every(PRUNE_EVERY_S, self.prune), name="forget what is old")

    async def expire(self) -> None:
        """End the jobs that have waited for their hosts longer than they may."""
        while expired := await self._store.expire(seconds_now(self._clock)):
            self._happenings.tell(job.id for job in expired)
            logger.info("%d jobs have expired before their hosts came", len(expired))
            if len(expired) < MOST_EXPIRED:
                break
            await self._clock.sleep(0)

    async def prune(self) -> None:
        """Forget what ended long ago, a few at a time: the content of jobs, and enrolments."""
        now = seconds_now(self._clock)
        before = now - self._retention.kept_s
        if forgotten := await self._all_of(self._store.prune, before):
            logger.info("the content of %d jobs is forgotten", forgotten)
        if forgotten := await self._all_of(self._directory.forget_enrolments, before):
            logger.info("%d old enrolments are forgotten", forgotten)
        if forgotten := await self._all_of(self._people.forget_tokens, now - EXPIRED_TOKENS_S):
            logger.info("%d tokens whose time is over are forgotten", forgotten)

    async def _all_of(self, forget: Callable[[float, int], Awaitable[int]], before: float) -> int:
        forgotten = 0
        while some := await forget(before, PRUNED_AT_ONCE):
            forgotten += some
            await self._clock.sleep(0)
        return forgotten

    async def _every(self, seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await chore()
            except InstaDeployError as exc:
                logger.warning("%s", exc)
            await self._clock.sleep(seconds)
