"""Time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from domain.records import Moment


class Clock(Protocol):
    """All time that the application knows."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back, whatever happens to the wall clock."""
        ...

    def since_boot(self) -> Moment:
        """How long the machine has been up, asleep or awake; comparable across our own restarts."""
        ...

    def now(self) -> datetime:
        """The wall clock, in UTC; for people to read, never to compute with."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        ...

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """A context whose body is cancelled, and which raises `TimeoutError`, after `seconds`."""
        ...
