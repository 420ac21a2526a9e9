"""What the control plane can be measured by."""

from __future__ import annotations

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
"""Jobs are counted no more often than this, however many ask."""


@dataclass(frozen=True, slots=True)
class Figures:
    """At one moment. `waiting_s` is how long the oldest job has waited that was never sent."""

    online: Mapping[int, int]
    jobs: Mapping[FleetJobState, int]
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
        self._counted_at = float("-inf")
        self._jobs: Mapping[FleetJobState, int] = {}
        self._oldest: float | None = None

    async def figures(self) -> Figures:
        """Raises `StorageUnavailable`."""
        if self._clock.monotonic() - self._counted_at >= COUNTED_EVERY_S:
            self._jobs = await self._store.counts()
            self._oldest = await self._store.oldest_waiting()
            self._counted_at = self._clock.monotonic()
        waiting = 0.0 if self._oldest is None else seconds_now(self._clock) - self._oldest
        return Figures(
            self._links.online(), self._jobs, max(0.0, waiting), self._happenings.watches
        )
