"""Where a database is to be made: beside a file and then in its place, or in one transaction of a server.

Each keeps control planes away for as long as it is at work.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, bindparam, text

from adapters.cancellation import finish
from adapters.private_file import publish
from adapters.storage.address import PostgresDatabase, SqliteFile, address_of
from adapters.storage.failures import translated
from adapters.storage.postgres import PostgresBackend
from adapters.storage.schema import Schema
from adapters.storage.snapshots.moments import NEVER_IDLE, at_one_moment
from adapters.storage.snapshots.rows import has_rows
from adapters.storage.snapshots.shapes import BOOK, VERSIONS, shape_of
from adapters.storage.sqlite import SqliteBackend
from adapters.storage_errors import translated as disk_translated
from domain.errors import Conflict

NEW_SUFFIX: Final = ".restoring"
ASIDE_SUFFIX: Final = ".before-restore-"

_COMPANIONS: Final = ("-wal", "-shm", "-journal")
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW

Work = Callable[[Connection], None]

_TRIGGERED: Final = text(
    "SELECT DISTINCT p.oid::regprocedure::text FROM pg_trigger t"
    " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid"
    " WHERE NOT t.tgisinternal AND c.relname IN :names"
    " AND c.relnamespace = current_schema()::regnamespace AND p.pronamespace = c.relnamespace"
).bindparams(bindparam("names", expanding=True))


class Target(Protocol):
    """A database that is to be made."""

    async def make(self, fill: Work, ready: Callable[[], None]) -> str:
        """Have `fill` make it in a transaction, call `ready`, and let it be seen: all of it, or nothing.

        `fill` is given a database without any table. Returns where what was there before is kept, ""
        where it is not. Raises what both raise, `Conflict` where a control plane runs with it, or
        something is in it that is not to be replaced, and `StorageUnavailable`.
        """
        ...


def target_of(url: str, schema: Schema, *, replace: bool) -> Target:
    """The database of a URL; raises `InvalidInput`."""
    match address_of(url):
        case SqliteFile(path):
            return SqliteTarget(path, schema, replace=replace)
        case PostgresDatabase() as server:
            return PostgresTarget(server, schema, replace=replace)


class SqliteTarget:
    """See `Target`. The file is made beside the one that is there, which it takes the place of at once."""

    def __init__(self, path: Path, schema: Schema, *, replace: bool) -> None:
        self._path = path
        self._schema = schema
        self._replace = replace

    async def make(self, fill: Work, ready: Callable[[], None]) -> str:
        """See `Target`. What is replaced is kept under another name."""
        lock = SqliteBackend(self._path)
        try:
            await lock.take()
            if not self._replace:
                await at_one_moment(f"sqlite:///{self._path}", self._require_empty)
            new = self._path.with_name(self._path.name + NEW_SUFFIX)
            _forget(new)  # Of one that was killed here.
            try:
                await _build(new, fill)
                ready()
                with disk_translated(self._path):
                    return _take_place(new, self._path, keep=self._replace)
            finally:
                with contextlib.suppress(OSError):
                    _forget(new)
        finally:
            await lock.let_go()

    def _require_empty(self, connection: Connection) -> None:
        require_empty(connection, self._schema)


class PostgresTarget:
    """See `Target`. All of it is one transaction."""

    def __init__(self, server: PostgresDatabase, schema: Schema, *, replace: bool) -> None:
        self._server = server
        self._schema = schema
        self._replace = replace

    async def make(self, fill: Work, ready: Callable[[], None]) -> str:
        """See `Target`. Nothing is kept of what is replaced."""
        backend = PostgresBackend(self._server.url, self._server.tls)
        try:
            link = await backend.connect_to_write()
            try:
                with translated():
                    await link.run_sync(self._make, fill, ready)
            finally:
                await finish(link.close())
        finally:
            await backend.let_go()
        return ""

    def _make(self, connection: Connection, fill: Work, ready: Callable[[], None]) -> None:
        with connection.begin():
            connection.execute(text(NEVER_IDLE))
            if not self._replace:
                require_empty(connection, self._schema)
            _drop(connection, self._schema)
            fill(connection)
            ready()


def require_empty(connection: Connection, schema: Schema) -> None:
    """Raise `Conflict` where a database has rows that say something; `StorageUnavailable` of others'."""
    revision = schema.version_of(connection)
    if revision is None:
        return
    for table in shape_of(schema, revision).tables:
        if table.name != BOOK and has_rows(connection, table):
            raise Conflict(
                f"the database is not empty: there is something in its table {table.name}; "
                "--replace has it give way"
            )


def _drop(connection: Connection, schema: Schema) -> None:
    """Take our tables out of a server's database, and what their triggers call."""
    revision = schema.version_of(connection)
    if revision is None:
        # Where it was taken back to the beginning, its empty table of versions is there.
        return
    names = [VERSIONS, *shape_of(schema, revision).names]
    called = connection.scalars(_TRIGGERED, {"names": names}).all()
    quote = connection.dialect.identifier_preparer.quote
    connection.execute(text(f"DROP TABLE {', '.join(map(quote, names))}"))
    for function in called:
        connection.execute(text(f"DROP FUNCTION {function}"))


async def _build(new: Path, fill: Work) -> None:
    """Fill a file, private from its first byte, and have it on the disk with nothing beside it."""

    def make(connection: Connection) -> None:
        with connection.begin():
            fill(connection)

    with disk_translated(new):
        os.close(os.open(new, _NEW, 0o600))
    # Nobody else has it, so it needs no log; its journal is gone after the commit.
    backend = SqliteBackend(new)
    try:
        link = await backend.connect_to_write()
        try:
            with translated():
                await link.run_sync(make)
        finally:
            await finish(link.close())
    finally:
        await backend.let_go()


def _take_place(new: Path, path: Path, *, keep: bool) -> str:
    """Put one file in the other's place, at one moment; returns where the other one is kept."""
    aside = ""
    is_whole = _fold(path)
    if keep and path.stat().st_size:
        aside = str(_kept(path, with_log=not is_whole))
    for suffix in _COMPANIONS:
        # SQLite would take them for the new one's.
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    publish(new, path, replace=True)
    return aside


def _fold(path: Path) -> bool:
    """Have a database take in its log; False where it is too damaged for that.

    Raises `Conflict` where another program is at work with it.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as other:
            other.execute("PRAGMA synchronous = FULL")
            (mode,) = other.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Conflict(f"another program has {path} open: end it first") from exc
        return False
    except sqlite3.DatabaseError:
        return False
    return bool(mode == "delete")


def _kept(path: Path, *, with_log: bool) -> Path:
    """Give a database another name besides; its log too, where it has not taken that in."""
    number = 1
    while True:
        aside = path.with_name(f"{path.name}{ASIDE_SUFFIX}{number}")
        try:
            os.link(path, aside)
        except FileExistsError:
            number += 1
        else:
            break
    log = path.with_name(path.name + "-wal")
    if with_log and log.exists():
        os.link(log, aside.with_name(aside.name + "-wal"))
    return aside


def _forget(path: Path) -> None:
    with disk_translated(path):
        for suffix in ("", *_COMPANIONS):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
