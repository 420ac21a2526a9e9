"""Connections that read are few, are used again, and are given up when they fail."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from adapters.storage.threaded_pool import ThreadedPool
from domain.errors import StorageBusy


@pytest.fixture
def closed() -> list[object]:
    """The connections that the pool has closed."""
    return []


@pytest.fixture
async def pool(tmp_path: Path, closed: list[object]) -> AsyncIterator[ThreadedPool]:
    engine = create_engine(
        f"sqlite:///{tmp_path / 'x.db'}",
        poolclass=NullPool,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "close", lambda connection, _: closed.append(connection))
    pool = ThreadedPool(engine, size=1, patience_s=0.0)
    yield pool
    await pool.close()
    engine.dispose()


def _thread(_: Connection) -> str:
    return threading.current_thread().name


async def _read(pool: ThreadedPool) -> tuple[str, int]:
    async with pool.connection() as connection:
        return await connection.run_sync(_thread), id(connection)


async def test_a_connection_is_used_again_and_reads_in_its_own_thread(pool: ThreadedPool) -> None:
    first, second = await _read(pool), await _read(pool)
    assert first == second
    assert first[0] != threading.current_thread().name


async def test_where_others_have_them_all_for_too_long_it_is_busy(pool: ThreadedPool) -> None:
    async with pool.connection():
        with pytest.raises(StorageBusy):
            await _read(pool)
    assert await _read(pool)


async def test_one_that_has_failed_is_not_used_again(
    pool: ThreadedPool, closed: list[object]
) -> None:
    async with pool.connection() as failing:
        pass
    with pytest.raises(OperationalError):
        async with pool.connection() as failing:
            await failing.run_sync(lambda connection: connection.execute(text("SELECT nothing")))
    async with pool.connection() as other:
        assert other is not failing
        assert await other.run_sync(lambda connection: connection.scalar(text("SELECT 1"))) == 1
    assert len(closed) == 1


async def test_a_failure_of_the_readers_own_costs_no_connection(pool: ThreadedPool) -> None:
    async with pool.connection() as connection:
        pass
    with pytest.raises(LookupError):
        async with pool.connection():
            raise LookupError
    async with pool.connection() as again:
        assert again is connection


async def test_one_that_is_given_back_after_the_end_is_closed(
    pool: ThreadedPool, closed: list[object]
) -> None:
    async with pool.connection() as connection:
        await connection.run_sync(_thread)
        await pool.close()
        assert not closed
    assert len(closed) == 1
