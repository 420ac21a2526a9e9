"""The tables of a version of the schema, as they are on every database.

They are made in memory, by the migrations themselves, and looked at: so a table that a migration adds is in
a backup, and what else lies in a database is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    create_engine,
    select,
)
from sqlalchemy.types import TypeEngine

from adapters.storage.schema import Schema

VERSIONS: Final = "alembic_version"
BOOK: Final = "book"
"""What every database has a row in: it says nothing of whether one was used."""


@dataclass(frozen=True)
class Shape:
    """`tables` stand in an order in which they can be filled. Types are those of plain values."""

    revision: str
    tables: Sequence[Table]

    @cached_property
    def names(self) -> Sequence[str]:
        """Of the tables."""
        return [table.name for table in self.tables]


@lru_cache(maxsize=4)
def shape_of(schema: Schema, revision: str) -> Shape:
    """The shape of a version that `schema` knows."""
    engine = create_engine("sqlite://")
    found = MetaData()
    try:
        with engine.connect() as connection, connection.begin():
            schema.migrate(connection, revision)
            found.reflect(connection)
    finally:
        engine.dispose()
    plain = MetaData()
    tables = [_plain(table, plain) for table in found.sorted_tables if table.name != VERSIONS]
    return Shape(revision, tables)


def all_rows(table: Table, connection: Connection) -> Select[Any]:
    """Its rows, in an order that is the same on every database."""
    return select(table).order_by(*_order(table, connection.dialect.name))


def binaries(table: Table) -> list[int]:
    """At which places of a row there are bytes."""
    return [n for n, column in enumerate(table.columns) if isinstance(column.type, LargeBinary)]


def _plain(table: Table, into: MetaData) -> Table:
    columns = [
        Column(one.name, _plain_type(one.type), primary_key=one.primary_key, autoincrement=False)
        for one in table.columns
    ]
    return Table(table.name, into, *columns)


def _plain_type(found: TypeEngine[Any]) -> TypeEngine[Any]:
    """Of what a column of SQLite's was declared to be; text stays as it stands there, escapes and all."""
    for kind, plain in (
        (Boolean, Boolean),
        (Integer, BigInteger),
        (Float, Double),
        (LargeBinary, LargeBinary),
    ):
        if isinstance(found, kind):
            return plain()
    return Text()


def _order(table: Table, dialect: str) -> Iterator[ColumnElement[Any]]:
    for column in table.primary_key or table.columns:
        is_text = isinstance(column.type, Text)
        yield column.collate("C") if is_text and dialect == "postgresql" else column
