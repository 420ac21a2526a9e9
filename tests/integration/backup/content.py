"""What is in databases: filled as the program would, and read as it stands there, past our own code."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from adapters.storage.database import Database
from adapters.storage.snapshots.snapshot import Contents, load_snapshot, write_snapshot
from domain.fleet.audit import Noted
from tests.integration.storage.migrating import migrated_to
from tests.integration.storage.test_upgrade import FIRST, ROWS, RUNNING
from tests.support.postgres import connected

PROGRAM = "a test"
KEYS = {"identity.json": b"identity", "payload.key": b"aes-256-gcm a2V5\n"}

Rows = Mapping[str, list[str]]


async def filled(url: str, jobs: int = 3) -> None:
    """Make a database of today, with something of most kinds in it, and so many jobs besides."""
    more = [("jobs", RUNNING | {"place": 100 + n, "id": f"job_{n}"}) for n in range(3, 3 + jobs)]
    await migrated_to(url, FIRST, [*ROWS, *more])
    async with Database.opened(url) as database:
        for n in range(3):
            await database.audit.note(Noted(at=1000.0 + n, user="Jos\u00e9", action=f"a{n}"))


def rows_on_sqlite(path: Path) -> Rows:
    """Of all tables, in any order of theirs, each row as a text."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        return {
            name: sorted(_text(dict(row)) for row in connection.execute(f'SELECT * FROM "{name}"'))
            for (name,) in names
        }


async def rows_of(url: str) -> Rows:
    """As `rows_on_sqlite`, of either kind."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return rows_on_sqlite(Path(parts.path.removeprefix("/")))
    (server,) = parse_qs(parts.query)["host"]
    async with connected(Path(server), parts.path.strip("/")) as connection:
        names = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        return {
            name: sorted(
                _text(dict(row)) for row in await connection.fetch(f'SELECT * FROM "{name}"')
            )
            for (name,) in names
        }


def _text(row: dict[str, Any]) -> str:
    plain = {key: int(value) if isinstance(value, bool) else value for key, value in row.items()}
    return json.dumps(plain, sort_keys=True, default=lambda content: bytes(content).hex())


def without_book(rows: Rows) -> Rows:
    """After a backup was restored, the book has another epoch and number, and the trail says so."""
    return {
        name: [row for row in of_table if "server.restore" not in row]
        for name, of_table in rows.items()
        if name != "book"
    }


def book(rows: Rows) -> dict[str, Any]:
    """The one row of the book."""
    (row,) = rows["book"]
    found: dict[str, Any] = json.loads(row)
    return found


async def snapshot_of(url: str, files: Mapping[str, bytes] = KEYS) -> bytes:
    """A snapshot, in memory."""
    out = io.BytesIO()
    await write_snapshot(url, out, PROGRAM, lambda: files)
    return out.getvalue()


async def loaded(snapshot: bytes, url: str, **more: bool) -> Contents:
    """Make a database of it."""
    return await load_snapshot(io.BytesIO(snapshot), url, lambda _: None, **more)
