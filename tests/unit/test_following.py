"""Following jobs live: nothing missed, nothing twice, nothing kept for whoever does not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from application.control_plane.following import PAGE, Part
from domain.commands import DeployCompose, StopCompose
from domain.errors import Busy, NotFound, StorageUnavailable
from domain.fleet.job import FeedEntry, FleetJob, FleetJobState
from domain.fleet.labels import Selector
from domain.job import JobState
from domain.project import ComposeFile, ProjectName
from tests.contracts.fleet import accept, chunk, result
from tests.fakes.clock import settle
from tests.support.control_plane_parts import ControlPlane, terms

BLOG = ProjectName("blog")
S = FleetJobState


@pytest.fixture
def plane() -> ControlPlane:
    return ControlPlane()


async def stopping(plane: ControlPlane, name: str = "web-1") -> FleetJob:
    await plane.add_hosts(name)
    return (await plane.submitting.command(name, StopCompose(BLOG), terms())).job


def said(entries: Sequence[FeedEntry]) -> list[object]:
    return [entry.state or entry.content for entry in entries]


async def test_what_is_kept_comes_first_then_what_happens_then_the_end(plane: ControlPlane) -> None:
    job = await stopping(plane)
    async with aclosing(await plane.following.job(job.id, 0)) as parts:
        assert said((await anext(parts)).entries) == [S.QUEUED]
        waiting = asyncio.create_task(anext(parts))
        await settle()
        assert not waiting.done()
        await plane.hear(job.host_id, accept(1, job.id, JobState.RUNNING), chunk(job.id, b"one"))
        assert said((await waiting).entries) == [S.RUNNING, b"one"]
        await plane.hear(job.host_id, result(2, job.id))
        assert said((await anext(parts)).entries) == [S.SUCCEEDED]
        last = await anext(parts)
        assert [one.state for one in last.ended] == [S.SUCCEEDED]
        with pytest.raises(StopAsyncIteration):
            await anext(parts)
    assert plane.happenings.watches == 0


async def test_it_is_resumed_behind_any_entry(plane: ControlPlane) -> None:
    job = await stopping(plane)
    await plane.hear(
        job.host_id,
        accept(1, job.id),
        chunk(job.id, b"a"),
        chunk(job.id, b"b", 1),
        result(2, job.id),
    )
    everything = await all_of(await plane.following.job(job.id, 0))
    for place, entry in enumerate(everything):
        rest = await all_of(await plane.following.job(job.id, entry.number))
        assert rest == everything[place + 1 :]


async def all_of(parts: AsyncGenerator[Part, None]) -> list[FeedEntry]:
    async with aclosing(parts):
        return [entry async for part in parts for entry in part.entries]


async def test_a_long_feed_comes_in_pages_of_bounded_size(plane: ControlPlane) -> None:
    job = await stopping(plane)
    await plane.hear(
        job.host_id,
        accept(1, job.id),
        *(chunk(job.id, b"x", n) for n in range(3 * PAGE)),
        result(2, job.id),
    )
    sizes = [
        len(part.entries) async for part in await plane.following.job(job.id, 0) if part.entries
    ]
    assert max(sizes) == PAGE
    assert sum(sizes) == 3 * PAGE + 4


async def test_where_nothing_happens_that_is_said_now_and_then(plane: ControlPlane) -> None:
    job = await stopping(plane)
    async with aclosing(await plane.following.job(job.id, 0)) as parts:
        await anext(parts)
        for _ in range(2):
            waiting = asyncio.create_task(anext(parts))
            await plane.clock.advance(14)
            assert not waiting.done()
            await plane.clock.advance(1)
            assert await waiting == Part()


async def test_what_was_not_told_is_found_all_the_same(plane: ControlPlane) -> None:
    job = await stopping(plane)
    async with aclosing(await plane.following.job(job.id, 0)) as parts:
        await anext(parts)
        waiting = asyncio.create_task(anext(parts))
        await settle()
        await plane.fleet.jobs.request_cancel(job.id, 0.0)
        await plane.clock.advance(15)
        assert await waiting == Part()
        assert said((await anext(parts)).entries) == [S.CANCELED]


async def test_a_deployment_is_followed_on_all_its_hosts_until_the_last_is_over(
    plane: ControlPlane,
) -> None:
    await plane.add_hosts("web-1", "web-2")
    command = DeployCompose(BLOG, ComposeFile(b"services: {}\n"))
    accepted = await plane.submitting.deploy(Selector.naming(["web-1", "web-2"]), command, terms())
    one, other = accepted.jobs
    async with aclosing(await plane.following.deployment(accepted.deployment.id, 0)) as parts:
        first = await anext(parts)
        assert [entry.job_id for entry in first.entries] == [one.id, other.id]
        await plane.hear(one.host_id, accept(1, one.id), result(2, one.id))
        assert said((await anext(parts)).entries) == [S.ACCEPTED, S.SUCCEEDED]
        await plane.hear(other.host_id, accept(1, other.id), result(2, other.id, JobState.FAILED))
        assert said((await anext(parts)).entries) == [S.ACCEPTED, S.FAILED]
        last = await anext(parts)
        assert [job.state for job in last.ended] == [S.SUCCEEDED, S.FAILED]


async def test_what_is_none_is_not_found_and_too_many_are_refused_at_once(
    plane: ControlPlane,
) -> None:
    job = await stopping(plane)
    with pytest.raises(NotFound):
        await plane.following.job("job_0", 0)
    with pytest.raises(NotFound):
        await plane.following.deployment("dep_0", 0)
    plane.happenings._limit = 0
    with pytest.raises(Busy):
        await plane.following.job(job.id, 0)


async def test_a_follower_that_goes_leaves_nothing_behind(plane: ControlPlane) -> None:
    job = await stopping(plane)
    parts = await plane.following.job(job.id, 0)
    await anext(parts)
    waiting = asyncio.create_task(anext(parts))
    await settle()
    assert plane.happenings.watches == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await parts.aclose()
    assert plane.happenings.watches == 0


async def test_a_database_that_fails_ends_the_feed(plane: ControlPlane) -> None:
    job = await stopping(plane)
    async with aclosing(await plane.following.job(job.id, 0)) as parts:
        await anext(parts)
        plane.fleet.reach.failure = StorageUnavailable("the disk is gone")
        plane.happenings.tell([job.id])
        with pytest.raises(StorageUnavailable):
            await anext(parts)
    assert plane.happenings.watches == 0


class TestWaiting:
    async def test_it_ends_when_the_job_does(self, plane: ControlPlane) -> None:
        job = await stopping(plane)
        waiting = asyncio.create_task(plane.following.until_over(job.id, 30))
        await settle()
        await plane.hear(job.host_id, accept(1, job.id))
        await settle()
        assert not waiting.done()
        await plane.hear(job.host_id, result(2, job.id))
        assert (await waiting).state is S.SUCCEEDED

    async def test_or_when_the_time_is_over(self, plane: ControlPlane) -> None:
        job = await stopping(plane)
        waiting = asyncio.create_task(plane.following.until_over(job.id, 30))
        await plane.clock.advance(30)
        assert (await waiting).state is S.QUEUED
        assert plane.happenings.watches == 0

    async def test_one_that_is_over_needs_no_time(self, plane: ControlPlane) -> None:
        job = await stopping(plane)
        await plane.jobs.cancel(job.id)
        assert (await plane.following.until_over(job.id, 30)).state is S.CANCELED


async def test_output_is_what_was_printed_in_order(plane: ControlPlane) -> None:
    job = await stopping(plane)
    await plane.hear(
        job.host_id,
        accept(1, job.id),
        *(chunk(job.id, b"%03d " % n, 4 * n) for n in range(2 * PAGE)),
        chunk(job.id, b"again", step="rollback"),
    )
    printed = b"".join([entry.content async for entry in plane.following.output(job.id)])
    assert printed == b"".join(b"%03d " % n for n in range(2 * PAGE)) + b"again"
