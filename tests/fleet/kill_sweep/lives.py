"""A control plane that dies where it is told to, and is started again, as a service manager does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.fleet.kill_sweep.orders import Orders
from tests.fleet.kill_sweep.points import STRUCK
from tests.fleet.kill_sweep.strikes import Strike
from tests.fleet.plane_process import PlaneFailed, PlaneProcess

PLAIN_WAITS: Final = {
    "application.control_plane.plain_host:PING_S": 1.0,
    "application.control_plane.plain_delivery:OUTCOME_S": 5.0,
}
"""So that an agent of v1 that may be at work still is not waited for as long as in real life."""


class Lives:
    """One process after another on the same database, each with one of the strikes, the last with none.

    `number` counts those that have come to serve. Whoever is not answered waits for the `next` one.
    """

    def __init__(
        self,
        plane: PlaneProcess,
        strikes: Sequence[Strike],
        notes: Path,
        *,
        late: Sequence[str] = (),
    ) -> None:
        self._plane = plane
        self._strikes = list(strikes)
        self._notes = notes
        self._late = tuple(late)
        self._is_fatal = self._serves = False
        self._changed = asyncio.Condition()
        self.number = 0
        self.struck: list[str] = []
        """Which of the strikes have befallen."""

    async def run(self) -> None:
        """Until cancelled, which ends the process. Raises `PlaneFailed` where it ends by itself."""
        try:
            while True:
                code = await self._live()
                noted = [line for line in self._lines() if line.startswith(STRUCK)]
                if code != -signal.SIGKILL or not (self._is_fatal or noted):
                    raise PlaneFailed(f"it ended by itself, with {code}", code)
                self.struck += [line.removeprefix(f"{STRUCK} ") for line in noted]
        finally:
            self._plane.kill()

    async def next(self, number: int) -> None:
        """Wait until one serves that came behind the one of that number."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.number > number)

    async def rest(self) -> None:
        """Have one serve that lives on: where the strike of this one has not come, it is killed now."""
        self._strikes.clear()
        async with self._changed:
            await self._changed.wait_for(lambda: self._serves)
        if self._is_fatal:
            number = self.number
            self._plane.kill()
            await self.next(number)

    def points(self) -> list[str]:
        """What this process has passed so far."""
        return [line for line in self._lines() if not line.startswith(STRUCK)]

    async def _live(self) -> int:
        """Start one, and return what it ended with."""
        self._notes.unlink(missing_ok=True)
        self._is_fatal = bool(self._strikes)
        at = str(self._strikes.pop(0)) if self._strikes else ""
        orders = Orders(str(self._notes), at, self._late if at else (), PLAIN_WAITS)
        try:
            await self._plane.start(orders.environment())
        except PlaneFailed as failed:
            if failed.code is None:
                raise
            return failed.code
        async with self._changed:
            self.number += 1
            self._serves = True
            self._changed.notify_all()
        try:
            return await self._plane.ended()
        finally:
            self._serves = False
            self._plane.kill()

    def _lines(self) -> list[str]:
        try:
            return self._notes.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return []
