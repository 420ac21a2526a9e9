"""Following jobs live: nothing missed, nothing twice, nothing kept for whoever does not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import pytest

from application.control_plane import following
from application.control_plane.following import PAGE, Part
from application.control_plane.submitting import AcceptedDeployment
from application.ports.job_store import JobQuery
from domain.commands import DeployCompose, StopCompose
from domain.errors import Busy, NotFound, StorageUnavailable
from domain.fleet.access import Reach
from domain.fleet.job import DeploymentId, FeedEntry, FleetJob, FleetJobState
from domain.fleet.labels import Selector
from domain.fleet.page import Page, PageRequest
from domain.job import JobState
from domain.project import ComposeFile, ProjectName
from tests.contracts.fleet import accept, chunk, result
from tests.fakes.clock import settle
from tests.support.control_plane_parts import BY, ControlPlane, terms

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
        assert last.ended == {S.SUCCEEDED: 1}
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
        assert last.ended == {S.SUCCEEDED: 1, S.FAILED: 1}


async def deployed(plane: ControlPlane, hosts: int) -> AcceptedDeployment:
    names = [f"web-{n}" for n in range(hosts)]
    await plane.add_hosts(*names)
    command = DeployCompose(BLOG, ComposeFile(b"services: {}\n"))
    return await plane.submitting.deploy(Selector.naming(names), command, terms())


async def test_who_comes_later_to_a_deployment_keeps_nothing_of_its_jobs(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = await deployed(plane, 3)
    listed = 0
    jobs_page = plane.fleet.jobs.jobs

    async def jobs(query: JobQuery, page: PageRequest) -> Page[FleetJob]:
        nonlocal listed
        listed += 1
        assert query == JobQuery(deployment_id=accepted.deployment.id)
        return await jobs_page(query, page)

    monkeypatch.setattr(plane.fleet.jobs, "jobs", jobs)
    monkeypatch.setattr(following, "IDS_AT_ONCE", 2)
    following_it = [await plane.following.deployment(accepted.deployment.id, 0) for _ in range(3)]
    for parts in following_it:
        assert len((await anext(parts)).entries) == 3
    assert listed == 2
    last = accepted.jobs[-1]
    waiting = [asyncio.create_task(anext(parts)) for parts in following_it]
    await settle()
    await plane.hear(last.host_id, accept(1, last.id))
    for one in waiting:
        assert said((await one).entries) == [S.ACCEPTED]
    for parts in following_it:
        await parts.aclose()
    assert plane.happenings.watches == 0


async def test_jobs_are_counted_when_one_more_may_be_the_last_and_not_at_each_news(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = await deployed(plane, 40)
    counted = 0
    tallies = plane.fleet.jobs.tallies

    async def counting(
        deployment_ids: Sequence[DeploymentId], within: Reach
    ) -> Mapping[DeploymentId, Mapping[FleetJobState, int]]:
        nonlocal counted
        counted += 1
        return await tallies(deployment_ids, within)

    parts = await plane.following.deployment(accepted.deployment.id, 0)
    monkeypatch.setattr(plane.fleet.jobs, "tallies", counting)
    seen: list[Part] = []

    async def follow() -> None:
        seen.extend([part async for part in parts])

    task = asyncio.create_task(follow())
    await settle()
    for job in accepted.jobs:
        await plane.hear(job.host_id, accept(1, job.id), result(2, job.id))
        await settle()
    await task
    assert seen[-1].ended == {S.SUCCEEDED: 40}
    assert sum(len(part.entries) for part in seen) == 3 * 40
    assert counted == 2


async def test_a_deployment_of_more_jobs_than_can_be_followed_is_refused(
    plane: ControlPlane,
) -> None:
    accepted = await deployed(plane, 3)
    plane.happenings._most_jobs = 2
    with pytest.raises(Busy):
        await plane.following.deployment(accepted.deployment.id, 0)


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
        await plane.jobs.cancel(job.id, BY)
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
