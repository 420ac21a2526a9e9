"""PostgreSQL in trouble: sessions that are lost, commits in doubt, servers that restart, rivals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.storage.address import PostgresDatabase, address_of
from adapters.storage.database import Database
from adapters.storage.postgres import LOCK_KEY, PostgresBackend
from domain.errors import Conflict, StorageUnavailable
from domain.fleet.job import FleetJobState
from tests.contracts.fleet import (
    NOW,
    a_job,
    a_submission,
    numbers,
    result,
    say,
    with_hosts,
    with_jobs,
)
from tests.support.postgres import connected, shared_server

S = FleetJobState


def _backend(url: str, *, lock_patience_s: float = 5.0) -> PostgresBackend:
    address = address_of(url)
    assert isinstance(address, PostgresDatabase)
    return PostgresBackend(address.url, lock_patience_s=lock_patience_s)


@pytest.fixture
def backend(postgres_url: str) -> PostgresBackend:
    return _backend(postgres_url)


@pytest.fixture
async def fleet(backend: PostgresBackend) -> AsyncIterator[Database]:
    async with Database.opened_on(backend) as fleet:
        yield fleet


async def _end_sessions(database: str, *, only_writer: bool = False) -> int:
    """Have the server end what is connected to it, but us; returns how many that were."""
    holds_lock = (
        f" AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
        f" AND ((classid::bigint << 32) | objid::bigint) = {LOCK_KEY})"
    )
    async with connected(shared_server(), database) as connection:
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            + (holds_lock if only_writer else "")
        )
        return len(ended)


async def test_a_session_that_was_ended_fails_one_call_at_most_and_is_made_anew(
    fleet: Database, postgres_database: str
) -> None:
    (a,) = await with_hosts(fleet, "a")
    await with_jobs(fleet, a_job(1, a))
    await fleet.jobs.job("job-1")
    assert await _end_sessions(postgres_database) >= 2
    # Reading is done again by itself.
    assert (await fleet.jobs.job("job-1")).state is S.QUEUED
    with pytest.raises(StorageUnavailable, match=r"lost|ended"):
        await say(fleet, a, result(1, "job-1"))
    assert (await fleet.jobs.job("job-1")).state is S.QUEUED
    assert (await say(fleet, a, result(1, "job-1"))).ended == ("job-1",)


@pytest.mark.parametrize("happens", [True, False])
async def test_a_commit_whose_end_was_not_seen_is_settled(
    fleet: Database,
    backend: PostgresBackend,
    postgres_database: str,
    monkeypatch: pytest.MonkeyPatch,
    happens: bool,
) -> None:
    (a,) = await with_hosts(fleet, "a")
    dialect = backend._writing.sync_engine.dialect
    commit = dialect.do_commit

    def lose(connection: Any) -> None:
        monkeypatch.undo()
        if happens:
            commit(connection)
        raise OSError("the link is gone")

    monkeypatch.setattr(dialect, "do_commit", lose)
    submitting = fleet.jobs.submit(a_submission(a_job(1, a)))
    if happens:
        assert (await submitting).jobs == (a_job(1, a),)
    else:
        with pytest.raises(StorageUnavailable):
            await submitting
    await with_jobs(fleet, a_job(2, a, "STATUS"))
    kept = [job.id for job in await fleet.jobs.queued(a.id)]
    assert kept == (["job-1", "job-2"] if happens else ["job-2"])
    entries = numbers(await fleet.jobs.feed())
    assert entries == sorted(set(entries))


async def test_one_that_has_lost_its_session_to_a_rival_writes_no_more(
    postgres_url: str, postgres_database: str
) -> None:
    async with Database.opened_on(_backend(postgres_url, lock_patience_s=0.2)) as fleet:
        (a,) = await with_hosts(fleet, "a")
        assert await _end_sessions(postgres_database, only_writer=True) == 1
        async with Database.opened_on(_backend(postgres_url)) as rival:
            await with_jobs(rival, a_job("of the rival", a))
            for number in range(3):
                with pytest.raises(StorageUnavailable):
                    await with_jobs(fleet, a_job(number, a, "STATUS"))
            # It may still read.
            assert [job.id for job in await fleet.jobs.queued(a.id)] == ["job-of the rival"]
        await with_jobs(fleet, a_job("after it", a, "STATUS"))
        entries = await fleet.jobs.feed()
        assert numbers(entries) == sorted(set(numbers(entries)))
        assert [entry.job_id for entry in entries] == ["job-of the rival", "job-after it"]


async def test_a_rival_is_refused_as_long_as_the_first_one_is_there(
    fleet: Database, postgres_url: str
) -> None:
    with pytest.raises(Conflict, match="another control plane"):
        async with Database.opened_on(_backend(postgres_url, lock_patience_s=0.1)):
            pass
    await with_hosts(fleet, "a")


async def test_while_a_row_is_locked_calls_can_be_cancelled_and_all_is_consistent(
    fleet: Database, postgres_database: str
) -> None:
    (a,) = await with_hosts(fleet, "a")
    await with_jobs(fleet, a_job(1, a))
    async with connected(shared_server(), postgres_database) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("LOCK TABLE jobs IN EXCLUSIVE MODE")
        cancelling = asyncio.create_task(fleet.jobs.request_cancel("job-1", NOW))
        later = asyncio.create_task(fleet.jobs.number(a.id, NOW))
        await _until_blocked(other)
        assert (await fleet.jobs.job("job-1")).state is S.QUEUED
        for task in (cancelling, later):
            task.cancel()
        outcomes = await asyncio.gather(cancelling, later, return_exceptions=True)
        assert [type(each) for each in outcomes] == [asyncio.CancelledError] * 2
        await transaction.rollback()
    await with_jobs(fleet, a_job(2, a, "STATUS"))
    assert (await fleet.jobs.job("job-1")).state is S.CANCELED
    assert (await fleet.jobs.standing(a.id)).link.next_seq == 1


async def _until_blocked(connection: Any) -> None:
    blocked = (
        "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    )
    while not await connection.fetchval(blocked):
        pass


async def test_whoever_resumes_a_feed_misses_nothing_whatever_is_written_meanwhile(
    fleet: Database,
) -> None:
    hosts = await with_hosts(fleet, *(f"h{n}" for n in range(6)))
    is_over = False

    async def write(number: int) -> None:
        host = hosts[number]
        for n in range(12):
            name = f"{number}-{n}"
            await fleet.jobs.submit(a_submission(a_job(name, host, "STATUS")))
            await say(fleet, host, result(n + 1, f"job-{name}"))

    async def follow() -> list[int]:
        seen: list[int] = []
        while True:
            was_over = is_over
            entries = await fleet.jobs.feed(after=seen[-1] if seen else 0, limit=7)
            seen += numbers(entries)
            if was_over and not entries:
                return seen

    following = [asyncio.create_task(follow()) for _ in range(3)]
    await asyncio.gather(*map(write, range(len(hosts))))
    is_over = True
    everything = numbers(await fleet.jobs.feed(limit=10_000))
    assert len(everything) == 6 * 12 * 2
    for seen in await asyncio.gather(*following):
        assert seen == everything


@pytest.mark.parametrize("turns", range(0, 40, 4))
async def test_a_read_that_is_cancelled_at_any_moment_takes_nothing_with_it(
    fleet: Database, turns: int
) -> None:
    (a,) = await with_hosts(fleet, "a")
    await with_jobs(fleet, a_job(1, a))
    for _ in range(6):  # There are fewer connections than that.
        reading = asyncio.create_task(fleet.jobs.job("job-1"))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert (await fleet.jobs.job("job-1")).id == "job-1"
    await say(fleet, a, result(1, "job-1"))


async def test_every_commit_is_on_the_disk_whatever_the_server_is_set_to(
    fleet: Database, backend: PostgresBackend
) -> None:
    link = fleet._connection._link
    assert link is not None

    def settings(connection: Any) -> str:
        with connection.begin():
            return str(connection.exec_driver_sql("SHOW synchronous_commit").scalar())

    assert await link.run_sync(settings) == "on"
