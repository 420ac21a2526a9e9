"""Event streams: live, resumable, bounded, and no longer than the token is good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.errors import StorageUnavailable
from domain.fleet import hearing
from domain.fleet.host import Host
from domain.job import JobState
from entrypoints.control_plane.rest import held_response
from tests.contracts.fleet import accept, chunk, hashed, result
from tests.fakes.clock import settle
from tests.support.asgi import opened
from tests.support.control_plane_parts import ADMIN, BY
from tests.unit.api import Api, Document, serving


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as api:
        yield api


@pytest.fixture
async def host(api: Api) -> Host:
    (host,) = await api.plane.add_hosts("web-1")
    return host


@pytest.fixture
async def job(api: Api, host: Host) -> Document:
    return await api.post("/api/v1/hosts/web-1/projects/blog/stop", 202)


async def test_a_job_is_followed_from_its_beginning_to_its_end(
    api: Api, host: Host, job: Document
) -> None:
    job_id = job["id"]
    async with opened(api.app, f"/api/v1/jobs/{job_id}/feed", token=ADMIN) as request:
        status, headers = await request.start()
        assert status == 200
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert headers["cache-control"] == "no-store"
        assert "content-length" not in headers
        name, data, first = await request.event()
        at = "2026-01-31T12:00:00.000Z"
        assert (name, data) == ("state", {"job_id": job_id, "at": at, "state": "queued"})
        printed = chunk(job_id, b"\x1b[2Kone\n")
        await api.plane.hear(host.id, accept(1, job_id, JobState.RUNNING), printed)
        assert (await request.event())[1]["state"] == "running"
        name, data, second = await request.event()
        assert (name, data) == (
            "output",
            {
                "job_id": job_id,
                "at": at,
                "step": "up",
                "attempt": 1,
                "offset": 0,
                "length": 8,
                "text": "\x1b[2Kone\n",
            },
        )
        assert first is not None
        assert second is not None
        assert second > first
        await api.plane.hear(host.id, chunk(job_id, b"\xff", 8), result(2, job_id))
        data = (await request.event())[1]
        assert (data["base64"], data["length"], "text" in data) == ("/w==", 1, False)
        assert (await request.event())[1]["state"] == "succeeded"
        last = {"state": "succeeded", "jobs_by_state": {"succeeded": 1}}
        assert await request.event() == ("end", last, None)
        assert await request.block() is None
    assert api.plane.happenings.watches == 0


async def test_it_is_told_that_no_more_output_is_kept(
    api: Api, host: Host, job: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "MOST_OUTPUT_BYTES", hearing.COST_OF_A_PIECE + 3)
    job_id = job["id"]
    pieces = [chunk(job_id, b"one"), chunk(job_id, b"two", 3), chunk(job_id, b"three", 6)]
    await api.plane.hear(host.id, accept(1, job_id, JobState.RUNNING), *pieces, result(2, job_id))
    async with opened(api.app, f"/api/v1/jobs/{job_id}/feed", token=ADMIN) as request:
        await request.start()
        events = [await request.event() for _ in range(6)]
    assert [name for name, _, _ in events] == ["state", "state", "output", "cut", "state", "end"]
    at = "2026-01-31T12:00:00.000Z"
    cut = {"job_id": job_id, "at": at, "step": "up", "attempt": 1, "offset": 3}
    assert events[3][1] == cut
    path = f"/api/v1/jobs/{job_id}/output"
    text = (await api.client.get(path)).text
    assert text == "one\n[more was printed, which is not kept]\n"
    assert (await api.client.get(path, params={"raw": "true"})).content == b"one"


@pytest.mark.parametrize("how", ["header", "query", "both"])
async def test_it_is_resumed_behind_the_last_event_that_was_seen(
    api: Api, host: Host, job: Document, how: str
) -> None:
    job_id = job["id"]
    await api.plane.hear(host.id, accept(1, job_id), result(2, job_id))
    path = f"/api/v1/jobs/{job_id}/feed"
    async with opened(api.app, path, token=ADMIN) as request:
        await request.start()
        _, _, first = await request.event()
    headers = {} if how == "query" else {"last_event_id": str(first)}
    query = {"query": f"after={first}", "both": "after=0", "header": ""}[how]
    async with opened(api.app, path, token=ADMIN, query=query, **headers) as request:
        await request.start()
        names = [await request.event() for _ in range(3)]
        assert [data["state"] for _, data, _ in names] == ["accepted", "succeeded", "succeeded"]


async def test_a_deployment_is_followed_over_all_its_hosts(api: Api, host: Host) -> None:
    (other,) = await api.plane.add_hosts("web-2")
    made = await api.deploy("web-1", "web-2")
    one, two = (job["id"] for job in made["jobs"])
    async with opened(api.app, f"/api/v1/deployments/{made['id']}/feed", token=ADMIN) as request:
        await request.start()
        assert [(await request.event())[1]["job_id"] for _ in range(2)] == [one, two]
        await api.plane.hear(host.id, accept(1, one), result(2, one))
        await api.plane.hear(other.id, accept(1, two), result(2, two, JobState.FAILED))
        seen = [await request.event() for _ in range(5)]
        last = {"state": "partial", "jobs_by_state": {"succeeded": 1, "failed": 1}}
        assert seen[-1] == ("end", last, None)


async def test_a_comment_comes_where_nothing_happens(api: Api, job: Document) -> None:
    async with opened(api.app, f"/api/v1/jobs/{job['id']}/feed", token=ADMIN) as request:
        await request.start()
        await request.event()
        for _ in range(3):
            await settle()
            await api.plane.clock.advance(15)
            assert await request.block() == ": still here\n\n"


async def test_it_ends_within_5_s_when_the_token_is_replaced(api: Api, job: Document) -> None:
    looking = asyncio.create_task(api.plane.sessions.run())
    path = f"/api/v1/jobs/{job['id']}/feed"
    async with (
        opened(api.app, path, token=ADMIN) as reads,
        opened(api.app, path, token=ADMIN) as stalls,
    ):
        for request in (reads, stalls):
            await request.start()
            await request.event()
        stalls.stop_reading()
        await settle()
        await api.plane.access.adopt(hashed("ida_other"))
        await api.plane.clock.advance(5)
        assert await reads.block() is None
        async with asyncio.timeout(5):
            await stalls.aborted.wait()
        for request in (reads, stalls):
            await request.task
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert api.plane.happenings.watches == 0


async def test_it_ends_when_the_program_stops(api: Api, job: Document) -> None:
    path = f"/api/v1/jobs/{job['id']}/feed"
    async with opened(api.app, path, token=ADMIN) as request:
        await request.start()
        await request.event()
        api.plane.sessions.end_all()
        assert await request.block() is None


async def test_a_reader_that_goes_leaves_nothing_behind(api: Api, job: Document) -> None:
    async with opened(api.app, f"/api/v1/jobs/{job['id']}/feed", token=ADMIN) as request:
        await request.start()
        await request.event()
        await settle()
        assert api.plane.happenings.watches == 1
        request.hang_up()
        await request.task
        assert api.plane.happenings.watches == 0
        with api.plane.sessions.opened(BY):
            assert len(vars(api.plane.sessions)["_open"]) == 1


async def test_a_reader_that_takes_nothing_is_given_up(
    api: Api, host: Host, job: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_response, "STALLED_S", 0.05)
    async with opened(api.app, f"/api/v1/jobs/{job['id']}/feed", token=ADMIN) as request:
        await request.start()
        await request.event()
        request.stop_reading()
        await api.plane.hear(host.id, accept(1, job["id"]))
        async with asyncio.timeout(5):
            await request.aborted.wait()
            await request.task
    assert api.plane.happenings.watches == 0


async def test_a_slow_reader_is_read_for_a_page_at_a_time(
    api: Api, host: Host, job: Document
) -> None:
    job_id = job["id"]
    pieces = [chunk(job_id, b"x" * 1000, 1000 * n) for n in range(500)]
    await api.plane.hear(host.id, accept(1, job_id), *pieces)
    async with opened(api.app, f"/api/v1/jobs/{job_id}/feed", token=ADMIN) as request:
        await request.start()
        await request.event()
        request.stop_reading()
        await settle(200)
        before = api.plane.fleet.reach.calls
        await settle(200)
        assert api.plane.fleet.reach.calls == before


async def test_a_database_that_fails_ends_it_so_that_the_reader_comes_again(
    api: Api, job: Document
) -> None:
    async with opened(api.app, f"/api/v1/jobs/{job['id']}/feed", token=ADMIN) as request:
        await request.start()
        await request.event()
        await settle()
        api.plane.fleet.reach.failure = StorageUnavailable("the disk is gone")
        api.plane.happenings.tell([job["id"]])
        async with asyncio.timeout(5):
            await request.aborted.wait()


async def test_too_many_followers_are_refused_at_once(api: Api, job: Document) -> None:
    api.plane.happenings._limit = 0
    for path in (f"/api/v1/jobs/{job['id']}/feed",):
        problem = await api.problem("GET", path, 503, "busy")
        assert problem["retryable"] is True
    # A command is accepted all the same: it is not to be sent again.
    response = await api.client.post(
        "/api/v1/hosts/web-1/projects/blog/stop", headers={"Prefer": "wait=1"}
    )
    assert response.status_code == 202
    assert "retry-after" not in response.headers


async def test_output_that_is_not_read_is_given_up_and_one_that_is_cut_is_not_taken_for_whole(
    api: Api, host: Host, job: Document
) -> None:
    await api.plane.hear(host.id, accept(1, job["id"]), chunk(job["id"], b"one"))
    async with opened(api.app, f"/api/v1/jobs/{job['id']}/output", token=ADMIN) as request:
        request.stop_reading()
        await settle()
        api.plane.sessions.end_all()
        async with asyncio.timeout(5):
            await request.aborted.wait()
