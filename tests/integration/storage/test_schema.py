"""The tables of the code and those of the migrations are the same, and migrations can be trusted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from adapters.storage.database import Database, backend_of
from adapters.storage.schema import MIGRATIONS, Schema
from adapters.storage.tables import METADATA
from domain.errors import Conflict, StorageUnavailable
from tests.contracts.fleet import with_hosts
from tests.integration.storage.migrating import migrated_to


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fleet.db"
    return str(request.getfixturevalue("bare_postgres_url"))


async def _run(url: str, statement: str) -> None:
    """Beside the program."""
    backend = backend_of(url)
    link = await backend.connect_to_write()

    def run(connection: Connection) -> None:
        with connection.begin():
            connection.execute(text(statement))

    await link.run_sync(run)
    await link.close()
    await backend.let_go()


async def test_the_migrations_make_the_tables_that_the_code_expects(url: str) -> None:
    await migrated_to(url, "head")
    backend = backend_of(url)
    link = await backend.connect_to_write()

    def difference(connection: Connection) -> object:
        with connection.begin():
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return compare_metadata(context, METADATA)

    assert await link.run_sync(difference) == []
    await link.close()
    await backend.let_go()


async def test_a_newer_version_is_refused_and_left_as_it_is(url: str) -> None:
    async with Database.opened(url) as fleet:
        await with_hosts(fleet, "a")
    await _run(url, "UPDATE alembic_version SET version_num = '9999'")
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match=r"newer version.*9999"):
            async with Database.opened(url):
                pass
    await _run(url, f"UPDATE alembic_version SET version_num = '{Schema().head}'")
    async with Database.opened(url) as fleet:
        assert (await fleet.hosts.named("a")).id


async def test_a_migration_by_half_is_refused(url: str) -> None:
    async with Database.opened(url):
        pass
    await _run(url, "ALTER TABLE jobs DROP COLUMN error")
    with pytest.raises(StorageUnavailable, match=r"half.*jobs.*error"):
        async with Database.opened(url):
            pass


async def test_two_at_once_are_refused_and_one_after_the_other_is_not(url: str) -> None:
    async with Database.opened(url) as fleet:
        await with_hosts(fleet, "a")
        with pytest.raises(Conflict, match="another control plane"):
            async with Database.opened(url):
                pass
    async with Database.opened(url) as fleet:
        assert await fleet.hosts.named("a")


def test_each_version_has_its_number_in_its_name_and_follows_the_one_before() -> None:
    before = None
    for script in sorted((MIGRATIONS / "versions").glob("m*.py")):
        content = script.read_text()
        number = script.name[1:5]
        assert re.search(rf'^revision = "{number}"$', content, re.MULTILINE)
        expected = "None" if before is None else f'"{before}"'
        assert re.search(rf"^down_revision = {expected}$", content, re.MULTILINE)
        before = number
    assert before == Schema().head
