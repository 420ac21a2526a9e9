"""What every `Clock` must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from application.ports.clock import Clock

A_MOMENT_S = 0.01


class ClockContract:
    """Give a `clock`, and a `pass_time` that has at least so many seconds pass on it."""

    @pytest.fixture
    def clock(self) -> Clock:
        raise NotImplementedError

    @pytest.fixture
    def pass_time(self) -> Callable[[float], Awaitable[None]]:
        raise NotImplementedError

    async def test_monotonic_time_grows_by_what_passes(
        self, clock: Clock, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        before = clock.monotonic()
        await pass_time(A_MOMENT_S)
        assert clock.monotonic() >= before + A_MOMENT_S

    async def test_time_since_boot_grows_by_what_passes_and_the_boot_stays_the_same(
        self, clock: Clock, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        before = clock.since_boot()
        await pass_time(A_MOMENT_S)
        after = clock.since_boot()
        assert before.boot_id
        assert after.boot_id == before.boot_id
        assert after.seconds >= before.seconds + A_MOMENT_S

    def test_the_wall_clock_is_in_utc(self, clock: Clock) -> None:
        assert clock.now().utcoffset() == timedelta(0)

    async def test_a_sleep_ends_when_its_time_is_over(
        self, clock: Clock, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        before = clock.monotonic()
        sleeping = asyncio.create_task(clock.sleep(A_MOMENT_S))
        await pass_time(A_MOMENT_S)
        await sleeping
        assert clock.monotonic() >= before + A_MOMENT_S

    async def test_a_sleep_of_nothing_lets_others_run(self, clock: Clock) -> None:
        others_ran = asyncio.Event()
        other = asyncio.create_task(others_ran.wait())
        asyncio.get_running_loop().call_soon(others_ran.set)
        await clock.sleep(0)
        assert others_ran.is_set()
        await other

    async def test_a_sleep_can_be_cancelled(self, clock: Clock) -> None:
        sleeping = asyncio.create_task(clock.sleep(3600))
        await clock.sleep(0)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping

    async def test_a_body_that_is_too_slow_is_ended_with_a_timeout_error(
        self, clock: Clock, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        was_cancelled = asyncio.Event()

        async def body() -> None:
            async with clock.timeout(A_MOMENT_S):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    was_cancelled.set()
                    raise

        running = asyncio.create_task(body())
        await pass_time(A_MOMENT_S)
        with pytest.raises(TimeoutError):
            await running
        assert was_cancelled.is_set()

    async def test_a_body_that_is_in_time_is_left_alone_for_good(
        self, clock: Clock, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        async with clock.timeout(A_MOMENT_S):
            await clock.sleep(0)
        await pass_time(2 * A_MOMENT_S)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    async def test_a_cancellation_from_outside_is_no_timeout(self, clock: Clock) -> None:
        async def body() -> None:
            async with clock.timeout(3600):
                await asyncio.Event().wait()

        running = asyncio.create_task(body())
        await clock.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    async def test_a_timeout_error_of_the_body_passes_through(self, clock: Clock) -> None:
        with pytest.raises(TimeoutError, match="the body's own"):
            async with clock.timeout(3600):
                raise TimeoutError("the body's own")
