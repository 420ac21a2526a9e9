"""Notices that two machines use one identity: each puts the other out, and comes back.

An agent that reconnects replaces its own link too, where the control plane has not noticed yet that
the old one is dead. But a dead link does not answer when it is closed: only one that does was put out
by another program than its own.
"""

from __future__ import annotations

import logging
from typing import Final

from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.host_directory import HostDirectory
from domain.errors import NotFound, StorageUnavailable
from domain.fleet.host import HostId

logger = logging.getLogger(__name__)

REPLACEMENTS: Final = 4
WITHIN_S: Final = 600.0


class Clones:
    """Counts how often links were replaced while somebody was at their other end."""

    def __init__(self, directory: HostDirectory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._replaced: dict[HostId, list[float]] = {}

    def replaced(self, host_id: HostId) -> bool:
        """A link was, and answered; whether that makes `suspect` due."""
        now = self._clock.monotonic()
        times = [at for at in self._replaced.get(host_id, ()) if now - at < WITHIN_S]
        times.append(now)
        self._replaced[host_id] = times
        if len(times) < REPLACEMENTS:
            return False
        del self._replaced[host_id]
        return True

    async def suspect(self, host_id: HostId) -> None:
        """Tell operators."""
        logger.error(
            "host %s: two machines come again and again with its identity; was one copied?", host_id
        )
        try:
            await self._directory.suspect_clone(host_id, seconds_now(self._clock))
        except (NotFound, StorageUnavailable) as exc:
            logger.warning("host %s: that is not written down: %s", host_id, exc)

    def forget_old(self) -> None:
        """Drop what counts no more."""
        now = self._clock.monotonic()
        for host_id in [
            host_id for host_id, times in self._replaced.items() if now - times[-1] >= WITHIN_S
        ]:
            del self._replaced[host_id]
