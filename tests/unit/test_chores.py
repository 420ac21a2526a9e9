"""What is done now and then, by the clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest

from application.control_plane.chores import PRUNED_AT_ONCE, Chores, Retention
from domain.commands import GetStatus, StopCompose
from domain.errors import StorageUnavailable
from domain.fleet.host import HostName
from domain.fleet.job import FleetJobState
from domain.fleet.labels import NO_LABELS
from domain.fleet.link_state import Heard
from domain.project import ProjectName
from tests.contracts.fleet import accept, result
from tests.support.control_plane_parts import BY, ControlPlane, terms

BLOG = ProjectName("blog")
DAY_S = 24 * 3600.0


@pytest.fixture
def plane() -> ControlPlane:
    return ControlPlane()


@contextlib.asynccontextmanager
async def chores_of(plane: ControlPlane) -> AsyncIterator[None]:
    chores = Chores(
        store=plane.fleet.jobs,
        directory=plane.fleet.hosts,
        people=plane.fleet.people,
        happenings=plane.happenings,
        clock=plane.clock,
        retention=Retention(kept_s=30 * DAY_S),
    )
    running = asyncio.create_task(chores.run())
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_what_waited_too_long_expires_and_its_followers_are_told(plane: ControlPlane) -> None:
    await plane.add_hosts("web-1")
    job = (await plane.submitting.command("web-1", GetStatus(BLOG), terms())).job
    async with chores_of(plane):
        with plane.happenings.watching([job.id]) as watch:
            await plane.clock.advance(59)
            assert (await plane.jobs.show(job.id)).state is FleetJobState.QUEUED
            await plane.clock.advance(6)
            await watch.news()
        assert (await plane.jobs.show(job.id)).state is FleetJobState.EXPIRED


async def test_the_content_of_old_jobs_is_forgotten_and_the_jobs_stay(plane: ControlPlane) -> None:
    (host,) = await plane.add_hosts("web-1")
    job = (await plane.submitting.command("web-1", StopCompose(BLOG), terms())).job
    await plane.hear(host.id, accept(1, job.id), result(2, job.id))
    await plane.fleet.jobs.record(Heard(host.id, 0.0, confirmed=1))
    async with chores_of(plane):
        assert plane.fleet.state.jobs[job.id].payload is not None
    await plane.clock.advance(31 * DAY_S)
    async with chores_of(plane):
        await plane.clock.advance(1)
    assert plane.fleet.state.jobs[job.id].payload is None
    assert (await plane.jobs.show(job.id)).state is FleetJobState.SUCCEEDED


async def test_enrolments_that_ended_long_ago_are_forgotten(
    plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(PRUNED_AT_ONCE + 1):
        await plane.enrolments.create(HostName(f"web-{n}"), NO_LABELS, BY)
    await plane.clock.advance(29 * DAY_S)
    await plane.enrolments.create(HostName("late"), NO_LABELS, BY)
    async with chores_of(plane):
        await plane.clock.advance(1)
        assert len(plane.fleet.state.enrolments) == PRUNED_AT_ONCE + 2
    await plane.clock.advance(2 * DAY_S)
    with caplog.at_level(logging.INFO):
        async with chores_of(plane):
            await plane.clock.advance(1)
    names = [one.name.value for one in plane.fleet.state.enrolments.values()]
    assert names == ["late"]
    assert f"{PRUNED_AT_ONCE + 1} old enrolments are forgotten" in caplog.text


async def test_a_database_that_fails_is_said_and_tried_again(
    plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    await plane.add_hosts("web-1")
    job = (await plane.submitting.command("web-1", GetStatus(BLOG), terms())).job
    plane.fleet.reach.failure = StorageUnavailable("the disk is gone")
    with caplog.at_level(logging.WARNING):
        async with chores_of(plane):
            await plane.clock.advance(61)
            assert "the disk is gone" in caplog.text
            plane.fleet.reach.failure = None
            await plane.clock.advance(5)
    assert (await plane.jobs.show(job.id)).state is FleetJobState.EXPIRED
