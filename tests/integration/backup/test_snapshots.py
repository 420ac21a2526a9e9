"""A database comes out of its snapshot row by row as it was, on either kind of database."""

from __future__ import annotations

import io
import itertools
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from adapters.storage.database import NUMBERS_LOST, Database
from adapters.storage.schema import Schema
from adapters.storage.snapshots.snapshot import load_snapshot
from adapters.storage.tables import METADATA
from domain.errors import Conflict, StorageUnavailable
from domain.fleet.audit import document_of, verified
from tests.integration.backup.conftest import KINDS, NewUrl
from tests.integration.backup.content import (
    book,
    filled,
    loaded,
    rows_of,
    snapshot_of,
    without_book,
)
from tests.integration.backup.home import make_locks_impatient
from tests.integration.storage.migrating import migrated_to
from tests.integration.storage.test_upgrade import FIRST, ROWS
from tests.support.postgres import connected, shared_server

BOTH_WAYS = list(itertools.product(KINDS, KINDS))


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
async def test_all_rows_are_there_again(source: str, target: str, new_url: NewUrl) -> None:
    of, to = new_url(source), new_url(target)
    await filled(of)
    contents = await loaded(await snapshot_of(of), to)
    before, after = await rows_of(of), await rows_of(to)
    assert without_book(after) == without_book(before)
    assert before.keys() == {table.name for table in METADATA.sorted_tables} | {"alembic_version"}
    assert contents.rows == {n: len(r) for n, r in before.items() if n != "alembic_version"}
    assert contents.rows["jobs"] == 5
    renewed = {name: book(after)[name] for name in ("epoch", "audit_number", "audit_hash")} | {
        "next_number": book(before)["next_number"] + NUMBERS_LOST,
    }
    assert book(after) == book(before) | renewed
    assert book(after)["epoch"] != book(before)["epoch"]
    assert book(after)["audit_number"] == book(before)["audit_number"] + 1
    async with Database.opened(to) as database:
        trail = [document_of(entry) for entry in await database.audit.after(0, 100)]
        assert verified(trail, await database.audit.head()) == []
        assert trail[-1]["detail"] == {"backup_of": contents.head.made_at}


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
async def test_a_copy_is_the_same_up_to_the_book(source: str, target: str, new_url: NewUrl) -> None:
    of, to = new_url(source), new_url(target)
    await filled(of)
    await loaded(await snapshot_of(of), to, renew_epoch=False)
    assert await rows_of(to) == await rows_of(of)
    async with Database.opened(to):
        pass
    assert await rows_of(to) == await rows_of(of)


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
async def test_an_earlier_version_is_restored_and_brought_up_to_date(
    source: str, target: str, new_url: NewUrl
) -> None:
    of, to = new_url(source), new_url(target)
    await migrated_to(of, FIRST, ROWS)
    snapshot = await snapshot_of(of)
    contents = await loaded(snapshot, to, renew_epoch=False)
    assert contents.head.schema == FIRST
    async with Database.opened(of):
        pass
    assert await rows_of(to) == await rows_of(of)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_odd_stays_as_it_is(kind: str, new_url: NewUrl) -> None:
    of, to = new_url(kind), new_url("sqlite" if kind == "postgres" else "postgres")
    odd = {"epoch": '\\u0000\\ud800 \\\\ \\"', "next_number": 2**62, "commits": 2**63 - 1}
    feed = dict(ROWS)["feed"] | {"kind": "output", "state": None}
    instead = {
        "book": {"one": 1, **odd},
        "payloads": {"place": 4, "sealed": bytes(range(256)) * 5000},
    }
    rows = [
        *((name, instead.get(name, row)) for name, row in ROWS),
        ("payloads", {"place": -5, "sealed": b""}),
        *(
            ("feed", feed | {"number": 1000 + n, "at": 1e-300 + n * 0.1, "content": os.urandom(n)})
            for n in range(1200)
        ),
    ]
    await migrated_to(of, FIRST, rows)
    await loaded(await snapshot_of(of), to, renew_epoch=False)
    async with Database.opened(of):
        pass
    assert await rows_of(to) == await rows_of(of)


async def test_a_database_is_private_and_nothing_is_left_beside_it(new_url: NewUrl) -> None:
    of, to = new_url("sqlite"), new_url("sqlite")
    await filled(of)
    await loaded(await snapshot_of(of), to)
    path = _path(to)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {each.name for each in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}


@pytest.mark.parametrize("kind", KINDS)
async def test_one_of_a_newer_version_is_refused(kind: str, new_url: NewUrl) -> None:
    of, to = new_url("sqlite"), new_url(kind)
    await filled(of)
    snapshot = await snapshot_of(of)
    head = Schema().head.encode()
    for newer in (
        snapshot.replace(b'"schema":"%b"' % head, b'"schema":"9999"', 1),
        snapshot.replace(b'"version":1', b'"version":2', 1),
    ):
        with pytest.raises(StorageUnavailable, match="newer version"):
            await loaded(newer, to)
    with pytest.raises(StorageUnavailable, match="no backup"):
        await loaded(b'{"form":"another"}\n', to)
    await loaded(snapshot, to)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_database_that_is_not_empty_is_refused_and_can_be_replaced(
    kind: str, new_url: NewUrl
) -> None:
    of, to = new_url("sqlite"), new_url(kind)
    await filled(of)
    snapshot = await snapshot_of(of)
    await filled(to, jobs=9)
    before = await rows_of(to)
    with pytest.raises(Conflict, match=r"not empty.*--replace"):
        await loaded(snapshot, to)
    assert await rows_of(to) == before
    contents = await loaded(snapshot, to, replace=True)
    assert without_book(await rows_of(to)) == without_book(await rows_of(of))
    if kind == "sqlite":
        assert contents.set_aside == f"{_path(to)}.before-restore-1"
        assert await rows_of(f"sqlite:///{contents.set_aside}") == before
        again = await loaded(snapshot, to, replace=True)
        assert again.set_aside == f"{_path(to)}.before-restore-2"
    else:
        assert contents.set_aside == ""
        await loaded(snapshot, to, replace=True)


@pytest.mark.parametrize("kind", KINDS)
async def test_tables_without_rows_are_as_good_as_none(kind: str, new_url: NewUrl) -> None:
    of, to = new_url(kind), new_url(kind)
    await filled(of)
    async with Database.opened(to):
        pass
    assert (await loaded(await snapshot_of(of), to)).set_aside == ""
    assert without_book(await rows_of(to)) == without_book(await rows_of(of))


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_a_control_plane_runs_with_is_refused(
    kind: str, new_url: NewUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_locks_impatient(monkeypatch)
    of, to = new_url("sqlite"), new_url(kind)
    await filled(of)
    async with Database.opened(to):
        before = await rows_of(to)
        with pytest.raises(Conflict, match="another control plane"):
            await loaded(await snapshot_of(of), to, replace=True)
        assert await rows_of(to) == before


async def test_what_triggers_call_goes_with_their_tables(new_url: NewUrl) -> None:
    of, to = new_url("sqlite"), new_url("postgres")
    await filled(of)
    await filled(to)
    database = to.split("/")[3].split("?")[0]
    async with connected(shared_server(), database) as connection:
        await connection.execute(
            "CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no'; END $$;"
            "CREATE FUNCTION theirs() RETURNS integer LANGUAGE sql AS 'SELECT 1';"
            "CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON hosts"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuses();"
            "CREATE TABLE theirs (x integer)"
        )
    await loaded(await snapshot_of(of), to, replace=True)
    async with connected(shared_server(), database) as connection:
        names = await connection.fetch(
            "SELECT proname FROM pg_proc WHERE proname IN ('refuses', 'theirs')"
        )
        assert [name for (name,) in names] == ["theirs"]
        await connection.execute("DROP TABLE theirs")
    assert without_book(await rows_of(to)) == without_book(await rows_of(of))


@pytest.mark.parametrize("damage", ["cut", "garbage", "page"])
async def test_a_damaged_file_can_be_replaced_and_is_kept(damage: str, new_url: NewUrl) -> None:
    of, to = new_url("sqlite"), new_url("sqlite")
    await filled(of)
    await filled(to)
    path = _path(to)
    whole = path.read_bytes()
    spoilt = {
        "cut": whole[:5000],
        "garbage": b"this is none\n" * 900,
        "page": bytes(4096) + whole[4096:],
    }
    path.write_bytes(spoilt[damage])
    path.with_name(f"{path.name}-wal").write_bytes(b"a log of it")
    with pytest.raises(StorageUnavailable):
        await loaded(await snapshot_of(of), to)
    contents = await loaded(await snapshot_of(of), to, replace=True)
    assert Path(contents.set_aside).exists()
    assert without_book(await rows_of(to)) == without_book(await rows_of(of))


async def test_a_file_that_another_program_reads_is_left_alone(new_url: NewUrl) -> None:
    of, to = new_url("sqlite"), new_url("sqlite")
    await filled(of)
    await filled(to)
    path = _path(to)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM hosts").fetchall()
    with pytest.raises(Conflict, match="another program"):
        await loaded(await snapshot_of(of), to, replace=True)
    reader.close()
    await loaded(await snapshot_of(of), to, replace=True)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_fails_at_the_very_end_has_changed_nothing(kind: str, new_url: NewUrl) -> None:
    of, to = new_url("sqlite"), new_url(kind)
    await filled(of)
    await filled(to, jobs=1)
    before = await rows_of(to)

    def refuse(_: object) -> None:
        raise Conflict("other keys")

    with pytest.raises(Conflict, match="other keys"):
        await load_snapshot(io.BytesIO(await snapshot_of(of)), to, refuse, replace=True)
    assert await rows_of(to) == before
