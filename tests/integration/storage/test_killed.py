"""A program that is killed in the middle of its commits has lost nothing that it was told is durable."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.storage.database import Database
from application.ports.job_store import JobQuery
from domain.fleet.job import FeedKind, FleetJob, FleetJobState
from domain.fleet.page import MAX_PAGE, PageRequest
from tests.contracts.fleet import numbers
from tests.integration.storage.dying_program import HOSTS

ROOT = Path(__file__).parents[3]
ROUNDS = 3
S = FleetJobState


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fleet.db"
    return str(request.getfixturevalue("bare_postgres_url"))


def _killed_after(url: str, round_: int, lines: int) -> set[tuple[str, str]]:
    """Run the program until it has said so much, and kill it; returns all that it has said."""
    program = [sys.executable, "-m", "tests.integration.storage.dying_program", url, str(round_)]
    said: list[str] = []
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if len(said) == lines:
                process.kill()
    assert len(said) >= lines, "it ended by itself"
    words = [line.split() for line in said if line.endswith("\n")]
    return {(what, name) for what, name in words}


def test_what_was_said_to_be_durable_is_there_after_a_kill(url: str) -> None:
    chance = random.Random(5)
    durable: set[tuple[str, str]] = set()
    for round_ in range(ROUNDS):
        durable |= _killed_after(url, round_, chance.randint(30, 150))
        asyncio.run(_check(url, durable))


async def _check(url: str, durable: set[tuple[str, str]]) -> None:
    async with Database.opened(url) as fleet:
        jobs = {job.id: job for job in await _all_jobs(fleet)}
        for what, name in durable:
            if what == "submitted":
                assert f"job-{name}" in jobs
            elif what == "ended":
                assert jobs[f"job-{name}"].state is S.SUCCEEDED
                assert await fleet.jobs.result(f"job-{name}") is not None
            else:
                _, job_id, seq = name.split(":")
                assert jobs[job_id].seq == int(seq)
        for job in jobs.values():
            await _is_whole(fleet, job)
        for number in range(HOSTS):
            await _numbers_have_no_gaps(fleet, f"h{number}")
        everything = numbers(await fleet.jobs.feed(limit=1_000_000))
        assert everything == sorted(set(everything))


async def _all_jobs(fleet: Database) -> list[FleetJob]:
    jobs: list[FleetJob] = []
    after: str | None = ""
    while after is not None:
        page = await fleet.jobs.jobs(JobQuery(), PageRequest(MAX_PAGE, after))
        jobs += page.items
        after = page.next
    return jobs


async def _is_whole(fleet: Database, job: FleetJob) -> None:
    """All that one call writes of a job is there, or nothing of it."""
    assert await fleet.jobs.payload(job.id) == b"sealed"
    feed = await fleet.jobs.feed(job_id=job.id)
    states = [entry.state for entry in feed if entry.kind is FeedKind.STATE]
    output = [entry.content for entry in feed if entry.kind is FeedKind.OUTPUT]
    if job.is_over:
        assert states == [S.QUEUED, S.RUNNING, S.SUCCEEDED]
        assert output == [b"output"]
        assert await fleet.jobs.result(job.id) is not None
    else:
        assert (states, output) == ([S.QUEUED], [])
        assert await fleet.jobs.result(job.id) is None


async def _numbers_have_no_gaps(fleet: Database, name: str) -> None:
    host = await fleet.hosts.named(name)
    link = (await fleet.jobs.standing(host.id)).link
    page = await fleet.jobs.jobs(JobQuery(host_id=host.id), PageRequest(MAX_PAGE))
    given = [job.seq for job in page.items if job.seq is not None]
    assert sorted(given) == list(range(1, link.next_seq))
    ended = [job for job in page.items if job.is_over]
    assert link.heard == len(ended)
    outgoing = await fleet.jobs.outgoing(host.id, 0, 1_000_000)
    assert [one.seq for one in outgoing] == list(range(link.confirmed + 1, link.next_seq))
