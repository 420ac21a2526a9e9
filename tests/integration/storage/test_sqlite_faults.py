"""SQLite in trouble: locked, full, hanging, slow to be read; what was answered is there all the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from adapters.storage.database import Database
from adapters.storage.sqlite import SqliteBackend
from domain.errors import NoSpace, StorageUnavailable
from domain.fleet.job import FleetJobState
from tests.contracts.fleet import (
    NOW,
    Fleet,
    a_job,
    a_submission,
    accept,
    chunk,
    numbers,
    result,
    say,
    states_in_feed,
    with_hosts,
    with_jobs,
)
from tests.support.small_disk import small_disk

S = FleetJobState
SECRET = b"correct horse"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


@pytest.fixture
async def fleet(path: Path) -> AsyncIterator[Database]:
    async with Database.opened_on(SqliteBackend(path, busy_timeout_s=0.05)) as fleet:
        yield fleet


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Another program writes to the database, and takes its time."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


async def test_what_another_program_has_locked_is_read_and_not_written(
    fleet: Database, path: Path
) -> None:
    (a,) = await with_hosts(fleet, "a")
    await with_jobs(fleet, a_job(1, a))
    with _locked(path):
        assert (await fleet.jobs.job("job-1")).state is S.QUEUED
        outcomes = await asyncio.gather(
            say(fleet, a, result(1, "job-1")),
            with_jobs(fleet, a_job(2, a)),
            fleet.jobs.request_cancel("job-1", NOW),
            return_exceptions=True,
        )
        for outcome in outcomes:
            assert isinstance(outcome, StorageUnavailable)
            assert "locked" in str(outcome)
    assert await states_in_feed(fleet, "job-1") == [S.QUEUED]
    assert (await say(fleet, a, result(1, "job-1"))).ended == ("job-1",)
    await with_jobs(fleet, a_job(2, a))


async def test_a_lock_that_does_not_last_is_waited_for(path: Path) -> None:
    async with Database.opened_on(SqliteBackend(path, busy_timeout_s=30.0)) as fleet:
        with _locked(path):
            adding = asyncio.create_task(with_hosts(fleet, "a"))
            await fleet.jobs.counts()
            assert not adding.done()
        await adding


async def test_a_locked_database_is_not_opened(path: Path) -> None:
    async with Database.opened(f"sqlite:///{path}"):
        pass
    with _locked(path), pytest.raises(StorageUnavailable, match="locked"):
        async with Database.opened_on(SqliteBackend(path, busy_timeout_s=0.05)):
            pass
    async with Database.opened(f"sqlite:///{path}"):
        pass


async def test_on_a_full_disk_all_is_read_nothing_is_half_written_and_it_goes_on_later(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        async with Database.opened(f"sqlite:///{disk.directory}/fleet.db") as fleet:
            (a,) = await with_hosts(fleet, "a")
            await with_jobs(fleet, a_job(1, a))
            disk.fill()
            written = await _until_full(fleet)
            with pytest.raises(NoSpace):
                await fleet.jobs.submit(a_submission(a_job("large", a), payload=b"x" * 100_000))
            with pytest.raises(NoSpace):
                await say(fleet, a, chunk("job-1", b"x" * 65536), result(1, "job-1"))
            assert (await fleet.jobs.job("job-1")).state is S.QUEUED
            assert (await fleet.jobs.standing(a.id)).link.heard == 0
            disk.empty()
            assert (await say(fleet, a, result(1, "job-1"))).ended == ("job-1",)
            await fleet.jobs.submit(a_submission(a_job("large", a), payload=b"x" * 100_000))
        async with Database.opened(f"sqlite:///{disk.directory}/fleet.db") as fleet:
            assert (await fleet.jobs.job("job-1")).state is S.SUCCEEDED
            queued = [job.id for job in await fleet.jobs.queued(a.id)]
            assert queued == [*written, "job-large"]


async def _until_full(fleet: Fleet) -> list[str]:
    """Submit small jobs until there is no space; returns those that were accepted."""
    host = await fleet.hosts.named("a")
    written: list[str] = []
    for number in range(10_000):
        job = a_job(f"small-{number}", host, "STATUS")
        try:
            await fleet.jobs.submit(a_submission(job, payload=b"x" * 2000))
        except NoSpace:
            return written
        written.append(job.id)
    raise AssertionError("the disk never was full")


async def test_of_those_who_share_a_commit_on_a_full_disk_the_small_ones_get_through(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        async with Database.opened(f"sqlite:///{disk.directory}/fleet.db") as fleet:
            (a,) = await with_hosts(fleet, "a")
            await with_jobs(fleet, *(a_job(n, a, "STATUS") for n in range(10)))
            disk.fill()
            filling = disk.directory / "filling"
            os.truncate(filling, filling.stat().st_size - 1_000_000)
            outcomes = await asyncio.gather(
                *(fleet.jobs.request_cancel(f"job-{n}", NOW) for n in range(5)),
                fleet.jobs.submit(a_submission(a_job("large", a), payload=b"x" * 2_000_000)),
                *(say(fleet, a, result(n - 4, f"job-{n}")) for n in range(5, 10)),
                return_exceptions=True,
            )
            assert isinstance(outcomes[5], NoSpace)
            assert [each for each in outcomes if isinstance(each, BaseException)] == [outcomes[5]]
            counts = await fleet.jobs.counts()
            assert (counts[S.CANCELED], counts[S.SUCCEEDED]) == (5, 5)


async def test_while_the_disk_hangs_calls_can_be_cancelled_and_all_is_consistent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = SqliteBackend(path)
    async with Database.opened_on(backend) as fleet:
        (a,) = await with_hosts(fleet, "a")
        hangs, goes_on = threading.Event(), threading.Event()
        commit = backend._writing.dialect.do_commit

        def hang(connection: Any) -> None:
            hangs.set()
            assert goes_on.wait(60)
            commit(connection)

        monkeypatch.setattr(backend._writing.dialect, "do_commit", hang)
        submitting = [
            asyncio.create_task(fleet.jobs.submit(a_submission(a_job(n, a, "STATUS"))))
            for n in range(3)
        ]
        await asyncio.to_thread(hangs.wait, 60)
        later = asyncio.create_task(fleet.jobs.submit(a_submission(a_job("later", a, "STATUS"))))
        await asyncio.sleep(0)
        assert (await fleet.jobs.counts())[S.QUEUED] == 0
        for task in (*submitting[:2], later):
            task.cancel()
        outcomes = await asyncio.gather(*submitting[:2], later, return_exceptions=True)
        assert [type(each) for each in outcomes] == [asyncio.CancelledError] * 3
        goes_on.set()
        await submitting[2]
        await with_jobs(fleet, a_job("last", a, "STATUS"))
    async with Database.opened(f"sqlite:///{path}") as fleet:
        kept = [job.id for job in await fleet.jobs.queued(a.id)]
        assert kept == ["job-0", "job-1", "job-2", "job-last"]
        entries = numbers(await fleet.jobs.feed())
        assert entries == sorted(set(entries))


@pytest.mark.parametrize("happens", [True, False])
async def test_a_commit_whose_end_was_not_seen_is_settled(
    path: Path, happens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = SqliteBackend(path)
    async with Database.opened_on(backend) as fleet:
        (a,) = await with_hosts(fleet, "a")
        commit = backend._writing.dialect.do_commit

        def lose(connection: Any) -> None:
            monkeypatch.undo()
            if happens:
                commit(connection)
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("gone"))

        monkeypatch.setattr(backend._writing.dialect, "do_commit", lose)
        submitting = fleet.jobs.submit(a_submission(a_job(1, a)))
        if happens:
            assert (await submitting).jobs == (a_job(1, a),)
        else:
            with pytest.raises(StorageUnavailable):
                await submitting
        await with_jobs(fleet, a_job(2, a, "STATUS"))
        kept = [job.id for job in await fleet.jobs.queued(a.id)]
        assert kept == (["job-1", "job-2"] if happens else ["job-2"])


async def test_the_log_does_not_grow_without_bound_however_much_is_read(path: Path) -> None:
    limit = 512 * 1024
    log = path.with_name("fleet.db-wal")
    async with Database.opened_on(SqliteBackend(path, longest_log_bytes=limit)) as fleet:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        is_over = False
        largest = 0

        async def read() -> None:
            while not is_over:
                await fleet.jobs.feed(job_id="job-1", limit=1)

        readers = [asyncio.create_task(read()) for _ in range(6)]
        for number in range(150):
            await say(fleet, a, chunk("job-1", b"x" * 65536, number * 65536))
            largest = max(largest, log.stat().st_size)
        is_over = True
        await asyncio.gather(*readers)
        assert largest < 3 * limit


async def test_a_reader_beside_us_makes_the_log_longer_and_nobody_wait_each_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.storage.sqlite.PATIENCE_WITH_READERS_S", 0.01)
    limit = 256 * 1024
    log = path.with_name("fleet.db-wal")
    async with Database.opened_on(SqliteBackend(path, longest_log_bytes=limit)) as fleet:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as beside:
            beside.execute("BEGIN")
            beside.execute("SELECT count(*) FROM jobs").fetchall()
            for number in range(20):
                await say(fleet, a, chunk("job-1", b"x" * 65536, number * 65536))
            largest = log.stat().st_size
            assert largest > 4 * limit
            assert beside.execute("SELECT count(*) FROM feed").fetchone() == (1,)
            beside.execute("COMMIT")
        for number in range(20, 60):
            await say(fleet, a, chunk("job-1", b"x" * 65536, number * 65536))
        assert log.stat().st_size <= largest + 2 * limit


async def test_every_commit_is_on_the_disk_before_it_is_answered(fleet: Database) -> None:
    link = fleet._connection._link
    assert link is not None

    def settings(connection: Any) -> list[object]:
        asked = ("synchronous", "journal_mode", "foreign_keys")
        with connection.begin():
            return [connection.exec_driver_sql(f"PRAGMA {each}").scalar() for each in asked]

    full = 2
    assert await link.run_sync(settings) == [full, "wal", 1]


@pytest.mark.parametrize("turns", range(0, 40, 3))
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
    await say(fleet, a, accept(1, "job-1"))


async def test_nothing_that_was_to_be_written_stands_in_an_error(
    fleet: Database, path: Path
) -> None:
    (a,) = await with_hosts(fleet, "a")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON payloads BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    submission = a_submission(a_job(1, a), payload=SECRET)
    outcomes = await asyncio.gather(
        fleet.jobs.submit(submission),
        fleet.jobs.submit(submission),
        fleet.hosts.suspect_clone(a.id, NOW),
        return_exceptions=True,
    )
    assert outcomes[2] is None
    for failure in outcomes[:2]:
        assert isinstance(failure, StorageUnavailable)
        said = "".join(traceback.format_exception(failure))
        assert SECRET.decode() not in said
        assert SECRET.hex() not in said
