"""The one connection that writes: it counts its commits, so that one whose end was not seen is settled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, bindparam, select, update

from adapters.storage.backend import Backend, WritingLink
from adapters.storage.failures import translated
from adapters.storage.tables import BOOK
from adapters.storage.transaction import Numbers, Transaction
from domain.errors import Conflict, StorageUnavailable

T = TypeVar("T")

DOUBT_PATIENCE_S: Final = 20.0
"""So long a server may be away before nobody can tell any more whether a commit has happened."""
_DOUBT_PAUSE_S: Final = 0.5

_COMMIT_MORE: Final = update(BOOK).values(
    next_number=bindparam("new_next_number"), commits=BOOK.c.commits + 1
)

_LOG = logging.getLogger(__name__)


class SoleConnection:
    """See `WritingConnection`. After a failure of the database it is made anew."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._link: WritingLink | None = None
        self._numbers = Numbers(1)
        self._commits = 0
        self._is_in_doubt = False
        self.epoch = ""

    async def begin(self, link: WritingLink) -> None:
        """Use this connection, whose database is as the code of today expects it."""
        self._link = link
        with translated():
            await link.run_sync(self._read_book)

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """See `WritingConnection`."""
        link = await self._connected()
        expected = self._commits + 1
        done: list[T] = []
        try:
            with translated():
                await link.run_sync(self._carry_out, work, done)
        except StorageUnavailable as exc:
            was_in_doubt, self._is_in_doubt = self._is_in_doubt, False
            await self._drop()
            if not was_in_doubt or not await self._is_settled(expected):
                raise
            _LOG.warning("a commit whose end was not seen has happened: %s", exc)
        await self._tend()
        return done[0]

    async def close(self) -> None:
        """See `WritingConnection`."""
        await self._drop()

    async def _connected(self) -> WritingLink:
        if self._link is None:
            try:
                link = await self._backend.connect_to_write()
            except Conflict as exc:
                raise StorageUnavailable(str(exc)) from exc
            try:
                await self.begin(link)
            except BaseException:
                await self._drop()
                raise
        assert self._link is not None
        return self._link

    def _read_book(self, connection: Connection) -> None:
        with connection.begin():
            book = connection.execute(select(BOOK)).one()
        self.epoch = book.epoch
        self._commits = book.commits
        self._numbers.next = max(self._numbers.next, book.next_number)

    def _carry_out(
        self, connection: Connection, work: Callable[[Transaction], T], done: list[T]
    ) -> None:
        """What `work` returns is in `done` when this returns, or does not know how the commit ended."""
        transaction = connection.begin()
        try:
            tx = Transaction(connection, self._numbers)
            done.append(work(tx))
            if not tx.is_dirty:
                transaction.rollback()
                return
            connection.execute(_COMMIT_MORE, {"new_next_number": self._numbers.next})
        except BaseException:
            # Where this raises too, the connection is given up, and the transaction with it.
            transaction.rollback()
            raise
        self._is_in_doubt = True
        transaction.commit()
        self._is_in_doubt = False
        self._commits += 1

    async def _is_settled(self, expected: int) -> bool:
        """Whether the commit with this number has happened; raises where that cannot be known."""
        loop = asyncio.get_running_loop()
        until = loop.time() + DOUBT_PATIENCE_S
        while True:
            try:
                await self._connected()
            except StorageUnavailable as exc:
                if loop.time() >= until:
                    raise StorageUnavailable(
                        f"{exc}; whether what was written is kept cannot be known"
                    ) from exc
                await asyncio.sleep(_DOUBT_PAUSE_S)
            else:
                return self._commits >= expected

    async def _tend(self) -> None:
        assert self._link is not None
        try:
            await self._backend.tend(self._link)
        except StorageUnavailable as exc:
            # What was committed is committed; whatever it is, the next one meets it too.
            _LOG.warning("tending the database failed: %s", exc)
            await self._drop()

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()
