"""Real time keeps the clock's contract."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from adapters.clock.system import SystemClock
from application.ports.clock import Clock
from tests.contracts.clock import ClockContract


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()

    @pytest.fixture
    def pass_time(self, clock: Clock) -> Callable[[float], Awaitable[None]]:
        return clock.sleep
