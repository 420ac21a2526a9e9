"""One transaction, as the operations in it see it. Blocking: they run in SQLAlchemy's greenlet."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.sql import Executable

from adapters.storage.repeated import Repeated, Row


class Numbers:
    """The one number that places and entries of the feed are drawn from; never given twice.

    What a transaction has drawn that was rolled back is not used again either.
    """

    def __init__(self, first: int) -> None:
        self.next = first

    def __call__(self) -> int:
        """The next one."""
        number = self.next
        self.next += 1
        return number


class Transaction:
    """Reading, and writing: `is_dirty` says whether there is anything to commit."""

    def __init__(self, connection: Connection, numbers: Numbers) -> None:
        self.connection = connection
        self.next_number = numbers
        self.is_dirty = False

    def write(self, statement: Executable, row: Row | None = None) -> None:
        """Carry out a statement, with these values where it has none."""
        self.is_dirty = True
        self.connection.execute(statement, row)

    def repeat(self, statement: Repeated, rows: Sequence[Row]) -> None:
        """Carry out a statement for each row."""
        if rows:
            self.is_dirty = True
            statement.carry_out(self.connection, rows)
