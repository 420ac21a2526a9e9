"""How the agent and its host are, for the heartbeats of protocol v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from application.agent.job_book import JobBook
from application.ports.clock import Clock
from application.ports.engine import Engine
from application.ports.host import Host
from domain.errors import RuntimeUnavailable

LOOK_EVERY_S: Final = 10.0
PING_S: Final = 4.0
"""Together less than 15 s: so soon an engine that is gone or hangs has to be reported."""


class VitalSigns:
    """Looks while a link is up; what it knows is at most `LOOK_EVERY_S` and a ping old."""

    def __init__(self, *, book: JobBook, host: Host, engine: Engine, clock: Clock) -> None:
        self._book = book
        self._host = host
        self._engine = engine
        self._clock = clock
        self._engine_reachable: bool | None = None
        self._loop_lag_s = 0.0

    def facts(self) -> Mapping[str, object]:
        """What a heartbeat says; what is not known is missing."""
        found = {
            "load": self._host.load(),
            "disk_free_bytes": self._host.disk_free_bytes(),
            "engine_reachable": self._engine_reachable,
            "open_jobs": sum(job.changes for job in self._book.ledger.open_jobs()),
            "loop_lag_s": round(self._loop_lag_s, 3),
        }
        return {name: value for name, value in found.items() if value is not None}

    async def watch(self) -> None:
        """Look again and again; until cancelled."""
        while True:
            await self._ping()
            asked = self._clock.monotonic()
            await self._clock.sleep(LOOK_EVERY_S)
            self._loop_lag_s = max(0.0, self._clock.monotonic() - asked - LOOK_EVERY_S)

    async def _ping(self) -> None:
        try:
            async with self._clock.timeout(PING_S):
                await self._engine.ping()
        except (RuntimeUnavailable, TimeoutError):
            self._engine_reachable = False
        else:
            self._engine_reachable = True
