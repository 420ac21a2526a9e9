"""A connection that reads all that it reads at one moment, beside whoever writes.

It takes no lock that keeps a control plane away. On SQLite, the log cannot begin anew for as long as it
reads.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from adapters.cancellation import finish
from adapters.storage.address import PostgresDatabase, SqliteFile, address_of
from adapters.storage.database import backend_of
from adapters.storage.failures import translated
from adapters.storage.postgres import engine_on
from adapters.storage.sqlite import BUSY_TIMEOUT_S
from adapters.storage.threaded_connection import ThreadedConnection
from domain.errors import StorageUnavailable

T = TypeVar("T")

NEVER_IDLE: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""For PostgreSQL, in a transaction: who reads or writes the other end of it may take his time."""


async def at_one_moment(url: str, work: Callable[[Connection], T]) -> T:
    """Return what `work` returns; it is called with a connection within a transaction that reads.

    Raises `InvalidInput` where the URL names no database, `StorageUnavailable` where it cannot be used,
    and what `work` raises.
    """
    match address_of(url):
        case SqliteFile(path):
            return await _on_sqlite(path, work)
        case PostgresDatabase() as server:
            return await _on_postgres(server, work)


@contextlib.asynccontextmanager
async def kept_to_us(url: str) -> AsyncIterator[None]:
    """Keep control planes away from a database for as long as the context lasts.

    Raises `Conflict` where one runs with it, `InvalidInput` where the URL names none, and
    `StorageUnavailable` where it cannot be used.
    """
    backend = backend_of(url)
    try:
        await backend.take()
        link = await backend.connect_to_write()
        try:
            yield
        finally:
            await finish(link.close())
    finally:
        await backend.let_go()


async def _on_sqlite(path: Path, work: Callable[[Connection], T]) -> T:
    engine = _reading_only(path)
    link = ThreadedConnection(engine)
    try:
        with translated():
            await link.connect()
            return await link.run_sync(_in_transaction, work)
    finally:
        await link.close()
        engine.dispose()


async def _on_postgres(server: PostgresDatabase, work: Callable[[Connection], T]) -> T:
    engine = engine_on(
        server.url, server.tls, poolclass=NullPool, isolation_level="REPEATABLE READ"
    )
    try:
        with translated():
            async with engine.connect() as connection:
                await connection.execution_options(postgresql_readonly=True)
                return await connection.run_sync(_in_transaction, work)
    finally:
        await engine.dispose()


def _in_transaction(connection: Connection, work: Callable[[Connection], T]) -> T:
    with connection.begin() as transaction:
        if connection.dialect.name == "postgresql":
            connection.execute(text(NEVER_IDLE))
        found = work(connection)
        transaction.rollback()
    return found


def _reading_only(path: Path) -> Engine:
    if not path.exists():
        raise StorageUnavailable(f"there is no database at {path}")

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    # Its moment is that of the first statement that reads.
    connection.exec_driver_sql("BEGIN")
