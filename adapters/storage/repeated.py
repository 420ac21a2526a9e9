"""Statements that are carried out for many rows at once, without what SQLAlchemy does for each row.

Most of what it takes to write a result down would be spent there: 20 us a row, against 2 us here and
some 5 us in SQLite. What is sent to the database is what SQLAlchemy makes of the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

Row = Mapping[str, Any]

_Process = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Made:
    """The text, how its values are taken from a row, and which have to be made into something else."""

    text: str
    values: Callable[[Row], tuple[Any, ...]]
    processes: tuple[tuple[int, _Process], ...]

    def parameters(self, row: Row) -> tuple[Any, ...]:
        values = list(self.values(row))
        for place, process in self.processes:
            values[place] = process(values[place])
        return tuple(values)


class Repeated:
    """An insert, or an update or deletion of which each row gives all of two values or more."""

    def __init__(self, statement: Insert | Update | Delete) -> None:
        self._statement = statement
        self._made: dict[str, _Made] = {}

    def carry_out(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Do it for each row; all have the same keys."""
        dialect = connection.dialect
        made = self._made.get(dialect.name)
        if made is None:
            made = self._made[dialect.name] = self._make(dialect, list(rows[0]))
        connection.exec_driver_sql(made.text, [made.parameters(row) for row in rows])

    def _make(self, dialect: Dialect, keys: list[str]) -> _Made:
        columns = keys if isinstance(self._statement, Insert) else None
        compiled = self._statement.compile(dialect=dialect, column_keys=columns)
        names = compiled.positiontup
        assert names is not None
        assert len(names) > 1
        processes = [
            (place, process)
            for place, name in enumerate(names)
            if (process := _process_of(compiled.binds[name].type, dialect)) is not None
        ]
        return _Made(compiled.string, itemgetter(*names), tuple(processes))


def _process_of(type_: Any, dialect: Dialect) -> _Process | None:
    if isinstance(type_, TypeDecorator):
        # Ours; SQLAlchemy would call it by way of another function.
        to_column = type_.process_bind_param
        return lambda value: to_column(value, dialect)
    process: _Process | None = type_.dialect_impl(dialect).bind_processor(dialect)
    return process
