"""The control plane's database, opened: its three stores on one writer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import Connection, update

from adapters.cancellation import finish
from adapters.storage.address import PostgresDatabase, SqliteFile, address_of
from adapters.storage.audit import SqlAuditTrail, note
from adapters.storage.backend import Backend
from adapters.storage.failures import translated
from adapters.storage.hosts import SqlHostDirectory
from adapters.storage.jobs import SqlJobStore
from adapters.storage.people import SqlPeople
from adapters.storage.postgres import PostgresBackend
from adapters.storage.reader import Reader
from adapters.storage.renewing import leave_ends_to_agents
from adapters.storage.schema import Schema, new_epoch
from adapters.storage.sole_connection import SoleConnection
from adapters.storage.sqlite import SqliteBackend
from adapters.storage.tables import BOOK
from adapters.storage.transaction import Transaction
from adapters.storage.writer import Writer
from domain.fleet.audit import Noted

NUMBERS_LOST: Final = 2**32
"""More than any database can have given after its backup was made."""


class Database:
    """`hosts`, `jobs`, `people` and `audit` are its stores."""

    def __init__(self, backend: Backend, connection: SoleConnection) -> None:
        self._connection = connection
        self._writer = Writer(connection)
        reader = Reader(backend)
        self.hosts = SqlHostDirectory(self._writer, reader)
        self.jobs = SqlJobStore(self._writer, reader, lambda: connection.epoch)
        self.people = SqlPeople(self._writer, reader)
        self.audit = SqlAuditTrail(self._writer, reader)

    @classmethod
    def opened(cls, url: str) -> contextlib.AbstractAsyncContextManager[Database]:
        """The database of a URL, made or brought up to date, for as long as the context lasts.

        Raises `InvalidInput` where the URL names none, `Conflict` where another control plane is
        running with it, and `StorageUnavailable` where it cannot be used: then it is left as it was.
        What waits at the end is written before it is closed.
        """
        return cls.opened_on(backend_of(url))

    @classmethod
    @contextlib.asynccontextmanager
    async def opened_on(
        cls, backend: Backend, schema: Schema | None = None
    ) -> AsyncIterator[Database]:
        """As `opened` does."""
        connection = SoleConnection(backend)
        try:
            await backend.take()
            await _prepare(backend, connection, schema or Schema())
            database = cls(backend, connection)
            async with database._serving():
                yield database
        finally:
            await finish(_close(connection, backend))

    async def renew_epoch(self) -> str:
        """Have the numbers count anew with every agent, as after a backup was restored.

        What waits and changes something counts as sent: hosts may have carried it out since.
        The feed's numbers go on far above all that may have been told since the backup was made.
        """
        epoch = new_epoch()

        def renew(tx: Transaction) -> None:
            tx.write(update(BOOK).values(epoch=epoch))
            tx.next_number.next += NUMBERS_LOST
            at = time.time()
            leave_ends_to_agents(tx, at)
            note(tx, [Noted(at=at, user="", action="epoch.renew", address="console")])

        await self._writer.carry_out(renew)
        self._connection.epoch = epoch
        return epoch

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        serving = asyncio.create_task(self._writer.serve(), name="database writer")
        try:
            yield
        finally:
            self._writer.close()
            await finish(serving)


def backend_of(url: str) -> Backend:
    """What the URL names; raises `InvalidInput`."""
    match address_of(url):
        case SqliteFile(path):
            return SqliteBackend(path)
        case PostgresDatabase(server, tls):
            return PostgresBackend(server, tls)


async def _prepare(backend: Backend, connection: SoleConnection, schema: Schema) -> None:
    writing = await backend.connect_to_write()
    try:
        with translated():
            await writing.run_sync(schema.check)
        await backend.prepare(writing)
        with translated():
            await writing.run_sync(_upgrade, schema)
        await connection.begin(writing)
    except BaseException:
        await finish(writing.close())
        raise


def _upgrade(connection: Connection, schema: Schema) -> None:
    schema.upgrade(connection)


async def _close(connection: SoleConnection, backend: Backend) -> None:
    await connection.close()
    await backend.let_go()
