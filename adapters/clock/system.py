"""Time as the event loop and the operating system tell it."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from domain.records import Moment

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """Real time."""

    def __init__(self) -> None:
        self._boot_id = BOOT_ID.read_text(encoding="ascii").strip()

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def since_boot(self) -> Moment:
        """See `Clock`."""
        return Moment(self._boot_id, time.clock_gettime(time.CLOCK_BOOTTIME))

    def now(self) -> datetime:
        """See `Clock`."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """See `Clock`."""
        return asyncio.timeout(seconds)
