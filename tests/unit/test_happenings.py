"""Who follows jobs is woken, and costs nothing while it is slow."""

from __future__ import annotations

import asyncio

import pytest

from application.control_plane.happenings import Happenings
from domain.errors import Busy
from tests.fakes.clock import settle


async def is_woken(waiting: asyncio.Task[None]) -> bool:
    await settle()
    return waiting.done()


async def test_a_watch_is_woken_by_its_jobs_and_by_no_others() -> None:
    happenings = Happenings()
    with happenings.watching(["job-1", "job-2"]) as watch:
        waiting = asyncio.create_task(watch.news())
        happenings.tell(["job-3"])
        assert not await is_woken(waiting)
        happenings.tell(["job-2"])
        assert await is_woken(waiting)


async def test_what_is_told_before_anybody_looks_is_not_missed_and_told_once() -> None:
    happenings = Happenings()
    with happenings.watching(["job-1"]) as watch:
        for _ in range(1000):
            happenings.tell(["job-1"])
        await watch.news()
        waiting = asyncio.create_task(watch.news())
        assert not await is_woken(waiting)
        happenings.tell(["job-1"])
        assert await is_woken(waiting)


async def test_all_who_watch_a_job_are_woken() -> None:
    happenings = Happenings()
    with happenings.watching(["job-1"]) as one, happenings.watching(["job-1"]) as other:
        happenings.tell(["job-1"])
        await one.news()
        await other.news()


def test_nothing_is_kept_of_a_watch_that_has_ended() -> None:
    happenings = Happenings()
    with happenings.watching(["job-1"]):
        assert happenings.watches == 1
    assert happenings.watches == 0
    assert vars(happenings)["_by_job"] == {}
    happenings.tell(["job-1"])


def test_there_are_so_many_watches_and_no_more() -> None:
    happenings = Happenings(limit=1)
    with happenings.watching(["job-1"]):
        with pytest.raises(Busy):
            happenings.check_room()
        with pytest.raises(Busy), happenings.watching(["job-1"]):
            pass
    happenings.check_room()


async def test_whoever_follows_a_deployment_is_woken_by_any_of_its_jobs() -> None:
    happenings = Happenings()
    with (
        happenings.watching_deployment("dep-1", ["job-1", "job-2"]) as one,
        happenings.watching_deployment("dep-1", ()) as other,
        happenings.watching_deployment("dep-2", ["job-3"]) as another,
        happenings.watching(["job-2"]) as single,
    ):
        waiting = asyncio.create_task(another.news())
        happenings.tell(["job-1", "job-2"])
        await one.news()
        await other.news()
        await single.news()
        assert not await is_woken(waiting)
        happenings.tell(["job-3"])
        assert await is_woken(waiting)


def test_the_jobs_of_a_deployment_are_kept_once_for_all_who_follow_it() -> None:
    happenings = Happenings(most_jobs=3)
    with happenings.watching_deployment("dep-1", ["job-1", "job-2"]):
        assert happenings.is_watched("dep-1")
        for _ in range(3):
            with happenings.watching_deployment("dep-1", ()):
                assert len(vars(happenings)["_deployment_of"]) == 2
        assert happenings.is_watched("dep-1")
        happenings.check_room(jobs=1)
        with pytest.raises(Busy):
            happenings.check_room(jobs=2)
        with pytest.raises(Busy), happenings.watching_deployment("dep-2", ["job-3", "job-4"]):
            pass
        assert not happenings.is_watched("dep-2")
    assert not happenings.is_watched("dep-1")
    assert happenings.watches == 0
    assert vars(happenings)["_deployment_of"] == {}
    happenings.check_room(jobs=3)


async def test_who_came_first_may_leave_first() -> None:
    happenings = Happenings()
    first = happenings.watching_deployment("dep-1", ["job-1"])
    first.__enter__()
    with happenings.watching_deployment("dep-1", ()) as watch:
        first.__exit__(None, None, None)
        happenings.tell(["job-1"])
        await asyncio.wait_for(watch.news(), 1.0)
    assert vars(happenings)["_deployment_of"] == {}
