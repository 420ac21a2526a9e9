"""When the agent dials again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from application.agent.connection import REFUSED_DELAY_S
from domain.errors import TransportLost, TransportRefused
from tests.fakes.clock import settle
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
    said = [r.getMessage() for r in caplog.records if r.name.startswith("application")]
    assert said == [
        "connected, over protocol v1",
        "the link was cut; connecting again in 1.0 s",
        "connected, over protocol v1",
    ]


# A network that changes.


async def test_a_change_of_the_network_ends_a_long_wait_within_a_second() -> None:
    bench = Bench()
    bench.transport.failures.extend([LOST] * 7)
    async with bench.running():
        await bench.clock.advance(sum(SERIES[:6]) + 10)
        assert (bench.transport.attempts, bench.clock.slept[-1]) == (7, 64.0)
        bench.parts.network.change()
        await bench.clock.advance(0.9)
        assert bench.transport.attempts == 7
        await bench.clock.advance(0.1)
        assert bench.transport.attempts == 8
        await bench.link()
        assert bench.clock.alarms == 0


async def test_after_a_change_the_series_starts_again() -> None:
    bench = Bench()
    bench.transport.failures.extend([LOST] * 9)
    async with bench.running():
        await bench.clock.advance(sum(SERIES[:6]) + 10)
        bench.parts.network.change()
        await bench.clock.advance(1 + 1 + 2)
        assert bench.clock.slept[7:] == [1.0, 1.0, 2.0]


async def test_a_short_wait_is_made_no_longer_by_a_change() -> None:
    bench = Bench()
    bench.transport.failures.extend([LOST] * 1)
    async with bench.running():
        await bench.clock.advance(0)
        bench.parts.network.change()
        await bench.clock.advance(1)
        assert bench.transport.attempts == 2


async def test_a_network_that_changes_all_the_time_does_not_have_a_dead_peer_dialled_all_the_time() -> (
    None
):
    bench = Bench()
    bench.transport.failures.extend([LOST] * 1000)
    async with bench.running():
        await bench.clock.advance(200)
        before = bench.transport.attempts
        for _ in range(80):
            bench.parts.network.change()
            await bench.clock.advance(0.5)
        assert bench.transport.attempts - before <= 40 / 2


async def test_changes_while_there_is_a_link_are_nobodys_business(bench: Bench) -> None:
    link = await bench.link()
    for _ in range(5):
        bench.parts.network.change()
        await bench.clock.advance(1)
    assert (bench.transport.attempts, link.lost.is_set()) == (1, False)
    await bench.lose(link)
    assert bench.clock.slept == [1.0]


async def test_a_refusal_is_not_tried_again_sooner_because_the_network_has_changed() -> None:
    bench = Bench()
    bench.transport.failures.append(TransportRefused("401", advice="check the token"))
    async with bench.running():
        await bench.clock.advance(10)
        bench.parts.network.change()
        await bench.clock.advance(109)
        assert bench.transport.attempts == 1


async def test_retry_after_is_not_made_shorter_by_a_change() -> None:
    bench = Bench()
    bench.transport.failures.append(TransportLost("503", retry_after_s=50))
    async with bench.running():
        await bench.clock.advance(10)
        bench.parts.network.change()
        await bench.clock.advance(39)
        assert bench.transport.attempts == 1
        await bench.clock.advance(1)
        assert bench.transport.attempts == 2


async def test_the_log_says_that_the_network_has_changed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="application")
    bench = Bench()
    bench.transport.failures.append(LOST)
    async with bench.running():
        await bench.clock.advance(0)
        bench.parts.network.change()
        await bench.clock.advance(1)
    assert "the network has changed; connecting again" in caplog.text


async def test_whoever_looks_after_it_is_told_how_the_link_stands() -> None:
    bench = Bench()
    bench.transport.failures.extend([LOST, TransportRefused("401", advice="check the token")])
    async with bench.running():
        await bench.clock.advance(1.0 + REFUSED_DELAY_S)
        link = await bench.link()
        link.lost.set()
        await settle()
        told = [str(status) for status in bench.parts.manager.statuses]
    assert told == [
        "Connecting",
        "Not connected: cp.example cannot be reached; connecting again in 1.0 s",
        "Connecting",
        "Refused: 401: check the token",
        "Connecting",
        "Connected: since 2026-01-31T12:02:01Z, over protocol v1",
        "Not connected: the link was cut; connecting again in 2.0 s",
    ]
