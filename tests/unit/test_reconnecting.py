"""When the agent dials again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domain.errors import TransportLost, TransportRefused
from tests.unit.connecting import Bench

SERIES = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0, 120.0, 120.0]
LOST = TransportLost("cp.example cannot be reached")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench().running() as running:
        yield running


async def test_it_dials_for_ever_with_doubling_delays() -> None:
    bench = Bench()
    bench.transport.failures.extend([LOST] * 10)
    async with bench.running():
        await bench.clock.advance(sum(SERIES))
        assert bench.clock.slept == SERIES
        assert bench.transport.attempts == 11
        await bench.link()


async def test_it_waits_the_whole_delay() -> None:
    bench = Bench()
    bench.transport.failures.extend([LOST] * 3)
    async with bench.running():
        for delay, attempts in [(0, 1), (0.9, 1), (0.2, 2), (1.8, 2), (0.2, 3)]:
            await bench.clock.advance(delay)
            assert bench.transport.attempts == attempts


async def test_a_server_that_accepts_and_closes_at_once_is_dialled_ever_more_seldom(
    bench: Bench,
) -> None:
    for _ in range(5):
        link = await bench.link()
        await bench.clock.advance(59.9)
        await bench.lose(link)
    assert bench.clock.slept == SERIES[:5]


async def test_a_link_that_held_for_a_minute_starts_the_series_again(bench: Bench) -> None:
    for held_for_s in (1, 1, 1, 60, 1):
        link = await bench.link()
        await bench.clock.advance(held_for_s)
        await bench.lose(link)
    assert bench.clock.slept == [1.0, 2.0, 4.0, 1.0, 2.0]


async def test_a_refusal_is_tried_again_after_two_minutes_and_says_what_to_check(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    refusal = TransportRefused("cp.example answered HTTP 401", advice="check AGENT_SECRET_TOKEN")
    bench.transport.failures.extend([refusal] * 3)
    async with bench.running():
        await bench.clock.advance(360)
        assert bench.clock.slept == [120.0] * 3
        await bench.link()
    assert (
        "cp.example answered HTTP 401: check AGENT_SECRET_TOKEN; trying again in 120 s"
        in caplog.text
    )


async def test_a_refusal_does_not_move_the_series() -> None:
    bench = Bench()
    refusal = TransportRefused("401", advice="check the token")
    bench.transport.failures.extend([LOST, refusal, LOST])
    async with bench.running():
        await bench.clock.advance(123)
    assert bench.clock.slept == [1.0, 120.0, 2.0]


@pytest.mark.parametrize(
    ("asked_s", "waited_s"), [(None, 1.0), (0.0, 1.0), (0.5, 1.0), (45.0, 45.0), (1e9, 3600.0)]
)
async def test_retry_after_is_honoured_within_an_hour(
    asked_s: float | None, waited_s: float
) -> None:
    bench = Bench()
    bench.transport.failures.append(TransportLost("503", retry_after_s=asked_s))
    async with bench.running():
        await bench.clock.advance(0)
    assert bench.clock.slept == [waited_s]


@pytest.mark.parametrize(("asked_s", "waited_s"), [(10.0, 120.0), (600.0, 600.0), (1e9, 3600.0)])
async def test_retry_after_of_a_refusal_makes_the_wait_longer_only(
    asked_s: float, waited_s: float
) -> None:
    bench = Bench()
    bench.transport.failures.append(
        TransportRefused("403", advice="check the token", retry_after_s=asked_s)
    )
    async with bench.running():
        await bench.clock.advance(0)
    assert bench.clock.slept == [waited_s]


async def test_the_log_says_that_it_is_connected_and_when_it_tries_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="application")
    async with Bench().running() as bench:
        await bench.lose(await bench.link())
    assert [record.getMessage() for record in caplog.records] == [
        "connected, over protocol v1",
        "the link was cut; connecting again in 1.0 s",
        "connected, over protocol v1",
    ]
