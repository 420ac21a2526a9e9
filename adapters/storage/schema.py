"""Brings a database to the tables that the code of today expects, or refuses it and leaves it alone."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, select

from adapters.storage.tables import BOOK, METADATA
from domain.errors import StorageUnavailable
from domain.fleet.audit import GENESIS

MIGRATIONS: Final = Path(__file__).with_name("migrations")
EPOCH_BYTES: Final = 16
_VERSIONS: Final = "alembic_version"

_LOG = logging.getLogger(__name__)


class Schema:
    """Blocking: to be run on a connection that may write. `migrations` has Alembic's scripts."""

    def __init__(self, migrations: Path = MIGRATIONS) -> None:
        config = Config()
        config.set_main_option("script_location", str(migrations).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        self._config = config
        self._scripts = ScriptDirectory.from_config(config)

    @property
    def head(self) -> str:
        """The version that the code of today expects."""
        head = self._scripts.get_current_head()
        assert head is not None
        return head

    def knows(self, revision: str) -> bool:
        """Whether it is a version of ours, of today's or an earlier one."""
        return any(script.revision == revision for script in self._scripts.walk_revisions())

    def check(self, connection: Connection) -> None:
        """Raise `StorageUnavailable` where the database is not ours to write; changes nothing."""
        with connection.begin() as transaction:
            self.version_of(connection)
            transaction.rollback()

    def upgrade(self, connection: Connection, revision: str = "head") -> None:
        """Bring it up to date, in one transaction; harmless where it is."""
        with connection.begin():
            before = self.version_of(connection)
            target = self.head if revision == "head" else revision
            if before != target:
                if before:
                    _LOG.info("the database goes from version %s to %s", before, target)
                else:
                    _LOG.info("the database is new, and gets the tables of version %s", target)
                self.migrate(connection, target)
            if target == self.head:
                require_tables(connection)
                _begin_book(connection)

    def version_of(self, connection: Connection) -> str | None:
        """The version of the database; None for an empty one. Within a transaction of the caller's.

        Raises `StorageUnavailable` where it is a newer version's, or another program's.
        """
        version = MigrationContext.configure(connection).get_current_heads()
        known = {script.revision for script in self._scripts.walk_revisions()}
        unknown = set(version) - known
        if unknown:
            raise StorageUnavailable(
                "the database was written by a newer version of this program "
                f"({', '.join(sorted(unknown))}): start that one, or restore a backup"
            )
        if not version:
            others = set(inspect(connection).get_table_names()) - {_VERSIONS}
            if others:
                raise StorageUnavailable(
                    "the database has tables and no version: it is another program's, or was "
                    "migrated by half; use an empty one, or restore a backup"
                )
            return None
        return version[0]

    def migrate(self, connection: Connection, revision: str) -> None:
        """Go to that version within a transaction of the caller's; nothing else is made or looked at."""
        # The transaction is all of it: SQLite rolls back what makes tables, too.
        self._config.attributes["connection"] = connection
        try:
            command.upgrade(self._config, revision)
        finally:
            del self._config.attributes["connection"]


def new_epoch() -> str:
    """Random text within which our numbers count."""
    return secrets.token_hex(EPOCH_BYTES)


def _begin_book(connection: Connection) -> None:
    if connection.execute(select(BOOK)).one_or_none() is None:
        row = {
            "one": 1,
            "epoch": new_epoch(),
            "next_number": 1,
            "commits": 0,
            "audit_number": 0,
            "audit_hash": GENESIS,
        }
        connection.execute(insert(BOOK), row)


def require_tables(connection: Connection) -> None:
    """Raise `StorageUnavailable` where something is missing that the code of today expects."""
    found = {
        name: {column["name"] for column in columns}
        for (_, name), columns in inspect(connection).get_multi_columns().items()
    }
    for table in METADATA.sorted_tables:
        missing = {column.name for column in table.columns} - found.get(table.name, set())
        if missing:
            raise StorageUnavailable(
                f"the database is migrated by half: its table {table.name} lacks "
                f"{', '.join(sorted(missing))}; restore a backup"
            )
