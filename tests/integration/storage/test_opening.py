"""Opening databases that are new, old, newer, half migrated, somebody else's, spoilt, or in use."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.storage.database import Database
from adapters.storage.schema import MIGRATIONS, Schema
from adapters.storage.sqlite import SqliteBackend
from domain.errors import Conflict, InvalidInput, StorageUnavailable
from domain.fleet.job import FleetJobState
from domain.fleet.link_state import OutgoingKind
from tests.contracts.fleet import NOW, a_job, a_submission, numbers, with_hosts, with_jobs

BROKEN_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "0999"
down_revision = "{head}"


def upgrade() -> None:
    op.create_table("added", sa.Column("one", sa.Integer))
    op.execute("INSERT INTO added VALUES (1)")
    op.execute("UPDATE jobs SET reason = 'migrated'")
    op.execute("THIS IS NO SQL")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "fleet.db"


@pytest.fixture
async def filled(path: Path) -> Path:
    async with Database.opened(f"sqlite:///{path}") as fleet:
        (a,) = await with_hosts(fleet, "a")
        await with_jobs(fleet, a_job(1, a))
    return path


def _content(path: Path) -> dict[str, bytes]:
    """Of the database and its log, but not of the lock."""
    return {
        each.name: each.read_bytes()
        for each in sorted(path.parent.iterdir())
        if each.suffix != ".lock"
    }


@contextlib.contextmanager
def _changed(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextlib.contextmanager
def _read_only(directory: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", directory], check=True)
        yield
    finally:
        subprocess.run(["umount", directory], check=True)


async def _refused(path: Path, match: str, schema: Schema | None = None) -> None:
    before = _content(path)
    with pytest.raises(StorageUnavailable, match=match):
        async with Database.opened_on(SqliteBackend(path), schema):
            pass
    assert _content(path) == before


async def test_a_new_database_is_for_its_user_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        async with Database.opened(f"sqlite:///{path}") as fleet:
            await with_hosts(fleet, "a")
            files = list(path.parent.iterdir())
            assert {each.name for each in files} == {
                "fleet.db",
                "fleet.db-wal",
                "fleet.db-shm",
                "fleet.db.lock",
            }
            for each in files:
                assert stat.S_IMODE(each.stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {each.name for each in path.parent.iterdir()} == {"fleet.db", "fleet.db.lock"}


async def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    async with Database.opened(f"sqlite:///{path}") as fleet:
        assert fleet.jobs.epoch


async def test_a_database_in_use_is_refused_and_free_afterwards(path: Path) -> None:
    async with Database.opened(f"sqlite:///{path}") as first:
        await with_hosts(first, "a")
        with pytest.raises(Conflict, match="another control plane"):
            async with Database.opened(f"sqlite:///{path}"):
                pass
        await with_hosts(first, "b")
    async with Database.opened(f"sqlite:///{path}"):
        pass


async def test_each_database_has_an_epoch_of_its_own_which_can_be_renewed(tmp_path: Path) -> None:
    async with Database.opened(f"sqlite:///{tmp_path}/a.db") as a:
        first = a.jobs.epoch
        second = await a.renew_epoch()
        assert a.jobs.epoch == second != first
    async with Database.opened(f"sqlite:///{tmp_path}/a.db") as a:
        assert a.jobs.epoch == second
    async with Database.opened(f"sqlite:///{tmp_path}/b.db") as b:
        assert b.jobs.epoch not in (first, second)


async def test_after_a_backup_was_restored_no_number_of_the_feed_comes_again(
    filled: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{filled}"
    backup = shutil.copy(filled, tmp_path / "backup.db")
    async with Database.opened(url) as fleet:
        host = await fleet.hosts.named("a")
        await with_jobs(fleet, *(a_job(n, host, "STATUS") for n in range(2, 9)))
        seen = numbers(await fleet.jobs.feed())[-1]
    shutil.copy(backup, filled)
    async with Database.opened(url) as fleet:
        await fleet.renew_epoch()
        await with_jobs(fleet, a_job(2, host, "STATUS"))
        assert [entry.job_id for entry in await fleet.jobs.feed(after=seen)] == ["job-2"]


async def test_what_waits_in_a_copy_and_changes_something_is_ended_by_its_host_alone(
    tmp_path: Path,
) -> None:
    async with Database.opened(f"sqlite:///{tmp_path}/a.db") as fleet:
        a, b = await with_hosts(fleet, "a", "b")
        late: dict[str, Any] = {"expires_at": NOW + 60}
        await with_jobs(fleet, a_job(1, a, "STOP_COMPOSE"), a_job(2, b, project="Blog"))
        await fleet.jobs.number(a.id, NOW)
        await with_jobs(
            fleet,
            a_job(3, a, project="Blog", **late),
            a_job(4, a, "STATUS", **late),
            a_job(5, a, "RESTART_COMPOSE", **late),
        )
        await fleet.renew_epoch()
        # Others were numbered before they were lost: what is in the copy is older than those.
        await fleet.jobs.begin_epoch(a.id, "agent", {"blog": 9})
        assert [job.id for job in await fleet.jobs.expire(NOW + 61)] == ["job-4"]
        submitted = await fleet.jobs.submit(a_submission(a_job(6, a), a_job(7, b)))
        assert submitted.superseded == ()
        assert (await fleet.jobs.request_cancel("job-5", NOW)).state is FleetJobState.CANCELING
        assert await fleet.jobs.queued(b.id) == [await fleet.jobs.job("job-7")]
        said = [
            *(await fleet.jobs.number(a.id, NOW)).said,
            *(await fleet.jobs.number(b.id, NOW)).said,
        ]
        assert [
            (one.job_id, one.generation) for one in said if one.kind is OutgoingKind.COMMAND
        ] == [
            ("job-1", 1),
            ("job-3", 2),
            ("job-5", 3),
            ("job-6", 10),
            ("job-2", 1),
            ("job-7", 2),
        ]


async def test_a_database_of_a_newer_version_is_refused(filled: Path) -> None:
    with _changed(filled) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("CREATE TABLE newer (x)")
    await _refused(filled, r"newer version.*9999")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE alembic_version",
        "DELETE FROM alembic_version",
        "DROP TABLE outgoing",
        "ALTER TABLE jobs DROP COLUMN error",
    ],
)
async def test_a_database_that_is_migrated_by_half_is_refused(filled: Path, statement: str) -> None:
    with _changed(filled) as connection:
        connection.execute(statement)
    await _refused(filled, "half")


async def test_a_database_of_another_program_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with _changed(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    await _refused(path, "another program's")


async def test_a_migration_that_fails_changes_nothing(filled: Path, tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    head = Schema().head
    script = BROKEN_MIGRATION.format(head=head)
    (migrations / "versions" / "m0999_broken.py").write_text(script)
    await _refused(filled, "cannot be used", Schema(migrations))
    async with Database.opened(f"sqlite:///{filled}") as fleet:
        assert (await fleet.jobs.job("job-1")).reason == ""
    with contextlib.closing(sqlite3.connect(filled)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
        assert "added" not in tables


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database, and never was one\n" * 500)
    await _refused(path, "none of SQLite's")


@pytest.mark.parametrize("keep", [50, 1000, 4096, 4500, 20_000])
async def test_a_file_that_was_cut_is_refused_or_says_so(filled: Path, keep: int) -> None:
    filled.write_bytes(filled.read_bytes()[:keep])

    async def read_all() -> None:
        async with Database.opened(f"sqlite:///{filled}") as fleet:
            await fleet.jobs.job("job-1")
            await fleet.jobs.feed()

    with pytest.raises(StorageUnavailable):
        await read_all()


async def test_a_page_that_is_spoilt_is_noticed_and_the_rest_is_served(filled: Path) -> None:
    with contextlib.closing(sqlite3.connect(filled)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'feed'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(filled.read_bytes())
    content[(root - 1) * size : root * size] = b"\xa5" * size
    filled.write_bytes(content)
    async with Database.opened(f"sqlite:///{filled}") as fleet:
        assert (await fleet.jobs.job("job-1")).id == "job-1"
        with pytest.raises(StorageUnavailable, match="damaged"):
            await fleet.jobs.feed()
        with pytest.raises(StorageUnavailable, match="damaged"):
            await fleet.jobs.request_cancel("job-1", 1.0)
        assert (await fleet.jobs.job("job-1")).cancel_requested_at is None
        await with_hosts(fleet, "b")


@pytest.mark.parametrize("what", ["directory", "below a file", "link to nowhere"])
async def test_a_path_that_no_database_can_be_at_is_refused(path: Path, what: str) -> None:
    if what == "directory":
        path.mkdir(parents=True)
    elif what == "below a file":
        path.parent.touch()
    else:
        path.parent.mkdir()
        path.symlink_to("nowhere/at/all")
    with pytest.raises(StorageUnavailable):
        async with Database.opened(f"sqlite:///{path}"):
            pass


async def test_a_read_only_file_system_is_said(filled: Path) -> None:
    with _read_only(filled.parent):
        await _refused(filled, "read-only|Read-only")
    async with Database.opened(f"sqlite:///{filled}") as fleet:
        assert (await fleet.jobs.job("job-1")).id == "job-1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "sqlite://host/x.db",
        "sqlite+aiosqlite:///x.db",
        "mysql://user:secret@host/db",
        "postgresql://user:secret@host",
        "postgresql://user:secret@host:port/db",
    ],
)
def test_a_url_that_names_no_database_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInput, match="DATABASE_URL") as refusal:
        Database.opened(url)
    assert "secret" not in str(refusal.value)


async def test_a_server_that_is_not_there_is_said_and_no_password(tmp_path: Path) -> None:
    for url in (
        "postgresql://user:secret@127.0.0.1:1/db",
        f"postgres://user:secret@/db?host={tmp_path}",
        "postgresql+asyncpg://user:secret@host.invalid/db",
    ):
        with pytest.raises(StorageUnavailable) as failure:
            async with Database.opened(url):
                pass
        assert "secret" not in str(failure.value)
