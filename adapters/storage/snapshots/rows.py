"""Rows of tables as lines, and lines as rows. Blocking, with a few rows in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Table, insert, text

from adapters.storage.snapshots.shapes import Shape, all_rows, binaries
from adapters.storage.snapshots.stream import Tally, decoded, encoded, line_of
from domain.errors import StorageUnavailable

READ_AT_ONCE: Final = 256
READ_AT_ONCE_WITH_BYTES: Final = 16
"""A payload may have some MiB."""
WRITTEN_AT_ONCE: Final = 500
WRITTEN_BYTES_AT_ONCE: Final = 1024 * 1024


def lines_of(connection: Connection, table: Table) -> Iterator[bytes]:
    """A line for each row, by its primary key. Raises `StorageUnavailable` for what is in no line."""
    places = binaries(table)
    at_once = READ_AT_ONCE_WITH_BYTES if places else READ_AT_ONCE
    # Of PostgreSQL's driver, too, no more than these are in memory.
    options = {"stream_results": True, "yield_per": at_once}
    with connection.execute(all_rows(table, connection), execution_options=options) as result:
        for some in result.partitions(at_once):
            for found in some:
                yield _line(table, list(found), places)


def fill(connection: Connection, table: Table, lines: Iterable[bytes]) -> None:
    """Write the rows of these lines. Raises `StorageUnavailable` where one is none of this table."""
    places = binaries(table)
    names = [column.name for column in table.columns]
    statement = insert(table)
    batch: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        batch.append(dict(zip(names, _row(table, line, places, len(names)), strict=True)))
        size += len(line)
        if len(batch) >= WRITTEN_AT_ONCE or size >= WRITTEN_BYTES_AT_ONCE:
            connection.execute(statement, batch)
            batch, size = [], 0
    if batch:
        connection.execute(statement, batch)


def tallies_of(connection: Connection, shape: Shape) -> dict[str, Tally]:
    """What stands in the tables, counted and hashed as its lines would be."""
    tallies = {}
    for table in shape.tables:
        tally = tallies[table.name] = Tally()
        for line in lines_of(connection, table):
            tally.add(line)
    if connection.dialect.name == "postgresql":
        # Its driver leaves what has been read to its end open, and no table could be changed.
        connection.execute(text("CLOSE ALL"))
    return tallies


def has_rows(connection: Connection, table: Table) -> bool:
    """Whether there is any."""
    return connection.execute(all_rows(table, connection).limit(1)).first() is not None


def _line(table: Table, row: list[Any], places: list[int]) -> bytes:
    try:
        for place in places:
            if row[place] is not None:
                row[place] = encoded(row[place])
        return line_of(row)
    except (TypeError, ValueError):
        # SQLite keeps in any column whatever it is given.
        raise StorageUnavailable(
            f"the database is damaged: a row of its table {table.name} holds what cannot stand there"
        ) from None


def _row(table: Table, line: bytes, places: list[int], width: int) -> list[Any]:
    try:
        row = json.loads(line)
        for place in places:
            if row[place] is not None:
                row[place] = decoded(row[place])
    except (LookupError, TypeError, ValueError):
        row = []
    if len(row) != width:
        raise StorageUnavailable(f"the backup is damaged: a row of its table {table.name} is none")
    return list(row)
