"""PostgreSQL for tests: databases on the server that deploy/ensure-postgres.sh has started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]

USER: Final = "postgres"


def shared_server() -> Path:
    """The directory of its socket."""
    return Path(f"/tmp/instadeploy-postgres-{os.getuid()}")


def url_of(server: Path, database: str) -> str:
    """As it stands in the settings."""
    return f"postgresql://{USER}@/{database}?host={server}"


@contextlib.asynccontextmanager
async def connected(server: Path, database: str = USER) -> AsyncIterator[asyncpg.Connection]:
    """A connection of a test's own."""
    try:
        connection = await asyncpg.connect(host=str(server), user=USER, database=database)
    except OSError as exc:
        raise AssertionError("run deploy/ensure-postgres.sh") from exc
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.contextmanager
def new_database(server: Path, template: str = "template1") -> Iterator[str]:
    """The name of a database that is there for as long as the context lasts.

    It begins as a copy of `template`, with which nobody may be connected.
    """
    name = f"test_{secrets.token_hex(8)}"
    _apart(_execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    try:
        yield name
    finally:
        _apart(_execute(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


async def empty(server: Path, database: str) -> None:
    """Take all rows out of a database: much faster than a new one."""
    async with connected(server, database) as connection:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'alembic_version'"
        )
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            for table in tables:
                await connection.execute(f'DELETE FROM "{table["tablename"]}"')


async def _execute(server: Path, statement: str) -> None:
    async with connected(server) as connection:
        await connection.execute(statement)


def _apart(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a loop of its own, whatever loop a test has."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as exc:  # noqa: BLE001 - raised to who waits for it
            failures.append(exc)

    thread = threading.Thread(target=run, name="postgres")
    thread.start()
    thread.join()
    for failure in failures:
        raise failure
