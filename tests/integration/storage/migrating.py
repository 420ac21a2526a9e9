"""Databases as earlier versions of the program made them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

from adapters.storage.database import backend_of
from adapters.storage.schema import Schema


async def migrated_to(
    url: str, revision: str, rows: Iterable[tuple[str, dict[str, object]]] = ()
) -> None:
    """Make a database of that version, with these rows in its tables."""
    backend = backend_of(url)
    await backend.take()
    link = await backend.connect_to_write()
    await backend.prepare(link)

    def make(connection: Connection) -> None:
        Schema().upgrade(connection, revision)
        with connection.begin():
            connection.execute(text("DELETE FROM book"))
            for table, row in rows:
                names = ", ".join(row)
                values = ", ".join(f":{name}" for name in row)
                connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)

    await link.run_sync(make)
    await link.close()
    await backend.let_go()
