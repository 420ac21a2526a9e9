"""What the control plane can be measured by."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from application.control_plane.happenings import Happenings
from application.control_plane.live_hosts import HostLinks
from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.job_store import JobStore
from domain.fleet.job import FleetJobState

COUNTED_EVERY_S: Final = 5.0
COUNTING_SHARE: Final = 0.02
"""Jobs are counted no more often than that, and for no more of the time, however many there are."""


@dataclass(frozen=True, slots=True)
class Figures:
    """At one moment, but for jobs, which were counted `counted_s_ago`.

    `waiting_s` is how long the oldest job has waited that was not sent when they were counted.
    """

    online: Mapping[int, int]
    jobs: Mapping[FleetJobState, int]
    counted_s_ago: float
    waiting_s: float
    followers: int


class Measuring:
    """Takes the figures."""

    def __init__(
        self, *, store: JobStore, links: HostLinks, happenings: Happenings, clock: Clock
    ) -> None:
        self._store = store
        self._links = links
        self._happenings = happenings
        self._clock = clock
        self._counting = asyncio.Lock()
        self._counted_at = self._due_at = float("-inf")
        self._jobs: Mapping[FleetJobState, int] = {}
        self._oldest: float | None = None

    async def figures(self) -> Figures:
        """Raises `StorageUnavailable`."""
        async with self._counting:
            if self._clock.monotonic() >= self._due_at:
                await self._count()
        waiting = 0.0 if self._oldest is None else seconds_now(self._clock) - self._oldest
        return Figures(
            self._links.online(),
            self._jobs,
            self._clock.monotonic() - self._counted_at,
            max(0.0, waiting),
            self._happenings.watches,
        )

    async def _count(self) -> None:
        began = self._clock.monotonic()
        jobs, oldest = await self._store.counts(), await self._store.oldest_waiting()
        took_s = self._clock.monotonic() - began
        self._jobs, self._oldest, self._counted_at = jobs, oldest, began
        self._due_at = began + max(COUNTED_EVERY_S, took_s / COUNTING_SHARE)
