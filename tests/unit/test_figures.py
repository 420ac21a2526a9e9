"""What the control plane is measured by: counted seldom, once for all who ask, and of a known age."""

from __future__ import annotations

import asyncio

import pytest

from application.control_plane.figures import COUNTED_EVERY_S, COUNTING_SHARE, Figures
from domain.commands import StopCompose
from domain.errors import StorageUnavailable
from domain.fleet.host import HostId
from domain.fleet.job import FleetJobState
from domain.project import ProjectName
from tests.fakes.clock import settle
from tests.support.control_plane_parts import ControlPlane, terms


@pytest.fixture
async def plane() -> ControlPlane:
    """One job waits, for seven seconds."""
    plane = ControlPlane()
    await plane.add_hosts("web-1")
    await plane.submitting.command("web-1", StopCompose(ProjectName("blog")), terms())
    await plane.clock.advance(7)
    return plane


async def test_jobs_are_counted_seldom_however_often_somebody_asks(plane: ControlPlane) -> None:
    plane.links.connected = {HostId("a"): 2, HostId("b"): 2, HostId("c"): 1}
    before = plane.fleet.reach.calls
    with plane.happenings.watching(["x"]):
        figures = await plane.measuring.figures()
        assert figures == await plane.measuring.figures()
    assert plane.fleet.reach.calls == before + 2
    jobs = {state: int(state is FleetJobState.QUEUED) for state in FleetJobState}
    assert figures == Figures({2: 2, 1: 1}, jobs, 0.0, 7.0, 1)


async def test_how_old_the_count_is_can_be_seen(plane: ControlPlane) -> None:
    await plane.measuring.figures()
    await plane.clock.advance(COUNTED_EVERY_S - 1)
    figures = await plane.measuring.figures()
    assert (figures.counted_s_ago, figures.waiting_s) == (4.0, 11.0)
    await plane.clock.advance(1)
    figures = await plane.measuring.figures()
    assert (figures.counted_s_ago, figures.waiting_s) == (0.0, 12.0)


async def test_who_asks_at_the_same_time_shares_one_count(plane: ControlPlane) -> None:
    before = plane.fleet.reach.calls
    plane.fleet.reach.hold()
    asking = [asyncio.create_task(plane.measuring.figures()) for _ in range(3)]
    await settle()
    asking[0].cancel()
    await settle()
    plane.fleet.reach.release()
    _, second, third = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(second, Figures)
    assert second == third
    # The one that was given up had come to the database.
    assert plane.fleet.reach.calls == before + 1 + 2


async def test_where_counting_takes_long_it_is_done_more_seldom(plane: ControlPlane) -> None:
    plane.fleet.reach.hold()
    asking = asyncio.create_task(plane.measuring.figures())
    await settle()
    await plane.clock.advance(2)
    plane.fleet.reach.release()
    assert (await asking).counted_s_ago == 2.0
    rests_s = 2 / COUNTING_SHARE
    await plane.clock.advance(rests_s - 3)
    assert (await plane.measuring.figures()).counted_s_ago == rests_s - 1
    await plane.clock.advance(1)
    assert (await plane.measuring.figures()).counted_s_ago == 0.0


async def test_a_database_that_fails_is_asked_again(plane: ControlPlane) -> None:
    plane.fleet.reach.failure = StorageUnavailable("the disk is gone")
    with pytest.raises(StorageUnavailable):
        await plane.measuring.figures()
    plane.fleet.reach.failure = None
    assert (await plane.measuring.figures()).waiting_s == 7.0
