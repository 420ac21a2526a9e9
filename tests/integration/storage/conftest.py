"""A PostgreSQL database for all tests of a run, each of which finds it empty."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.postgres import empty, new_database, shared_server, url_of


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str]:
    with new_database(shared_server()) as name:
        yield name


@pytest.fixture
async def postgres_url(postgres_database: str) -> AsyncIterator[str]:
    """Its tables are there once a test has opened it, and empty."""
    yield url_of(shared_server(), postgres_database)
    await empty(shared_server(), postgres_database)


@pytest.fixture
def bare_postgres_url() -> Iterator[str]:
    """Of a database of the test's own, without tables."""
    with new_database(shared_server()) as name:
        yield url_of(shared_server(), name)
