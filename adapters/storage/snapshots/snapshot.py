"""A snapshot of a database: taken while a control plane runs with it, and made a database of again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Table, delete, update

from adapters.storage.audit import note
from adapters.storage.database import NUMBERS_LOST
from adapters.storage.renewing import leave_ends_to_agents
from adapters.storage.schema import Schema, new_epoch, require_tables
from adapters.storage.snapshots.moments import at_one_moment
from adapters.storage.snapshots.rows import fill, has_rows, lines_of, tallies_of
from adapters.storage.snapshots.shapes import shape_of
from adapters.storage.snapshots.stream import Head, Sink, SnapshotReader, SnapshotWriter, Source
from adapters.storage.snapshots.targets import target_of
from adapters.storage.tables import BOOK
from adapters.storage.transaction import Numbers, Transaction
from domain.errors import StorageUnavailable
from domain.fleet.audit import Noted


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a snapshot. `rows` counts those of each table; `set_aside` is what was there before."""

    head: Head
    rows: Mapping[str, int]
    set_aside: str = ""


async def version_of(url: str) -> str | None:
    """The version of a database's tables; None where it has none. Raises as `at_one_moment` does."""
    return await at_one_moment(url, Schema().version_of)


async def write_snapshot(
    url: str, out: Sink, program: str, files: Callable[[], Mapping[str, bytes]]
) -> Contents:
    """Write all that is in the database at one moment, and then these files, by their names.

    Files are asked for after that moment: what a row needs of them is in them. Raises as
    `at_one_moment`, `out` and `files` do, and `StorageUnavailable` for a database without tables.
    """
    schema = Schema()

    def write(connection: Connection) -> Contents:
        revision = schema.version_of(connection)
        if revision is None:
            raise StorageUnavailable("the database is empty: there is nothing to keep")
        head = Head(revision, program, round(time.time(), 3))
        writer = SnapshotWriter(out, head)
        rows = {}
        for table in shape_of(schema, revision).tables:
            columns = [column.name for column in table.columns]
            lines = lines_of(connection, table)
            rows[table.name] = writer.write_table(table.name, columns, lines).rows
        for name, content in files().items():
            writer.write_file(name, content)
        writer.write_end()
        return Contents(head, rows)

    return await at_one_moment(url, write)


def look_through(source: Source) -> tuple[Contents, Mapping[str, bytes]]:
    """What a snapshot holds, and its files, once all of it is known to be as it was written.

    Raises `StorageUnavailable` where it is not, and as `source` does.
    """
    reader = SnapshotReader(source)
    for table in reader.tables():
        for _ in table.lines:
            pass
    return _contents(reader), reader.files


async def load_snapshot(
    source: Source,
    url: str,
    put_files: Callable[[Mapping[str, bytes]], None],
    *,
    replace: bool = False,
    renew_epoch: bool = True,
) -> Contents:
    """Make the database of what a snapshot holds, brought up to date: all of it, or nothing.

    `put_files` puts the snapshot's files in their places once all is known to be right, and right
    before the database is there; what it raises stops that. With `renew_epoch`, numbers begin anew with
    every agent, as what came after the snapshot is lost, and what waits in it and changes something
    counts as sent. With `replace`, what the database holds gives way to it.

    Raises `Conflict` where a control plane runs with the database, or it is not empty and not to be
    replaced, `InvalidInput` where the URL names none, and `StorageUnavailable` where it cannot be used,
    or the snapshot cannot: it is damaged, or a newer version's.
    """
    schema = Schema()
    reader = SnapshotReader(source)
    target = target_of(url, schema, replace=replace)
    set_aside = await target.make(
        lambda connection: _load(connection, schema, reader, renew_epoch=renew_epoch),
        lambda: put_files(reader.files),
    )
    contents = _contents(reader)
    return Contents(contents.head, contents.rows, set_aside)


def _load(
    connection: Connection, schema: Schema, reader: SnapshotReader, *, renew_epoch: bool
) -> None:
    revision = reader.head.schema
    if not schema.knows(revision):
        raise StorageUnavailable(
            f"the backup was made by a newer version of this program ({reader.head.program}, tables "
            f"{revision[:40]}): restore it with that one"
        )
    schema.migrate(connection, revision)
    shape = shape_of(schema, revision)
    tables = {table.name: table for table in shape.tables}
    for table in reversed(shape.tables):
        # A migration may have left some there. Where not, what refuses to be deleted is not asked.
        if has_rows(connection, table):
            connection.execute(delete(table))
    for part in reader.tables():
        fill(connection, _expected(tables, part.name, part.columns), part.lines)
    if tables:
        raise StorageUnavailable(f"the backup lacks {', '.join(sorted(tables))}")
    _compare(reader, {name: t.sha256 for name, t in tallies_of(connection, shape).items()})
    schema.migrate(connection, "head")
    require_tables(connection)
    if renew_epoch:
        number = BOOK.c.next_number + NUMBERS_LOST
        connection.execute(update(BOOK).values(epoch=new_epoch(), next_number=number))
        tx, at = Transaction(connection, Numbers(0)), time.time()
        leave_ends_to_agents(tx, at)
        restored = Noted(
            at=at,
            user="",
            action="server.restore",
            address="console",
            detail={"backup_of": reader.head.made_at},
        )
        note(tx, [restored])


def _expected(tables: dict[str, Table], name: str, columns: object) -> Table:
    table = tables.pop(name, None)
    if table is None or columns != [column.name for column in table.columns]:
        raise StorageUnavailable(f"the backup's table {name[:60]} is not as in its version")
    return table


def _compare(reader: SnapshotReader, found: Mapping[str, str]) -> None:
    for name, tally in reader.tallies.items():
        if found[name] != tally.sha256:
            raise StorageUnavailable(
                f"the database has not kept the table {name} as it was given; nothing was changed"
            )


def _contents(reader: SnapshotReader) -> Contents:
    return Contents(reader.head, {name: tally.rows for name, tally in reader.tallies.items()})
