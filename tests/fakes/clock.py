"""Time that passes only when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from domain.records import Moment

TURNS_TO_SETTLE = 40
"""How often the loop goes round for what became ready to run to its next wait. A turn is a callback
and not a time, so that this is as exact on a slow machine as on a fast one."""

EPOCH = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


async def settle(turns: int = TURNS_TO_SETTLE) -> None:
    """Let every task run until it waits for something that is not going to happen by itself."""
    for _ in range(turns):
        await asyncio.sleep(0)


@dataclass(order=True, slots=True)
class _Alarm:
    due: float
    number: int
    ring: Callable[[], None] = field(compare=False)


class FakeClock:
    """Virtual time. `slept` lists every sleep that was asked for, in seconds, but for yields."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.boot_id = "boot-1"
        self._seconds = 1000.0
        self._alarms: list[_Alarm] = []
        self._numbers = itertools.count()
        self._sleepers = 0

    @property
    def sleepers(self) -> int:
        """How many tasks sleep at this moment."""
        return self._sleepers

    @property
    def alarms(self) -> int:
        """How many sleeps and timeouts have yet to ring."""
        return len(self._alarms)

    def monotonic(self) -> float:
        """See `Clock`."""
        return self._seconds

    def since_boot(self) -> Moment:
        """See `Clock`; goes with the virtual time."""
        return Moment(self.boot_id, self._seconds)

    def now(self) -> datetime:
        """See `Clock`; goes with the virtual time."""
        return EPOCH + timedelta(seconds=self._seconds - 1000.0)

    async def sleep(self, seconds: float) -> None:
        """See `Clock`; a sleep of nothing lets the others run, as asyncio's does."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self.slept.append(seconds)
        woken = asyncio.Event()
        self._sleepers += 1
        try:
            with self._alarm(seconds, woken.set):
                await woken.wait()
        finally:
            self._sleepers -= 1

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """See `Clock`."""
        return self._timeout(seconds)

    async def advance(self, seconds: float) -> None:
        """Let that much time pass; what wakes on the way runs at its own moment, in order."""
        await settle()
        end = self._seconds + seconds
        while self.ring_next(end):
            await settle()
        await settle()

    def ring_next(self, end: float) -> bool:
        """Let time pass to the next moment at which something wakes, or to `end`, where nothing does.

        For who drives the event loop; whatever wakes has yet to run.
        """
        if not self._alarms or self._alarms[0].due > end:
            self._seconds = end
            return False
        alarm = heapq.heappop(self._alarms)
        self._seconds = max(self._seconds, alarm.due)
        alarm.ring()
        return True

    async def advance_to_next(self) -> float:
        """Let time pass until the next sleep or timeout ends; returns the seconds that took."""
        await settle()
        assert self._alarms, "nobody waits for any time to pass"
        seconds = self._alarms[0].due - self._seconds
        await self.advance(seconds)
        return seconds

    @contextlib.asynccontextmanager
    async def _timeout(self, seconds: float) -> AsyncIterator[object]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None if seconds > 0 else 0) as limit:
            with self._alarm(seconds, lambda: limit.reschedule(loop.time())):
                yield limit

    @contextlib.contextmanager
    def _alarm(self, seconds: float, ring: Callable[[], None]) -> Iterator[None]:
        alarm = _Alarm(self._seconds + seconds, next(self._numbers), ring)
        heapq.heappush(self._alarms, alarm)
        try:
            yield
        finally:
            if alarm in self._alarms:
                self._alarms.remove(alarm)
                heapq.heapify(self._alarms)
