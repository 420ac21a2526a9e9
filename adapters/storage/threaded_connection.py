"""A connection that lives in a thread of its own, where a whole transaction is carried out at once.

An asynchronous driver for SQLite is a thread, too, but is asked and answers for each statement by
itself, several times: that costs more than the statements do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from adapters.cancellation import finish_in_thread

T = TypeVar("T")


class ThreadedConnection:
    """See `WritingLink`. `engine` is one of the usual, blocking kind."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._connection: Connection | None = None
        self._is_closed = False

    async def connect(self) -> None:
        """Raises what SQLAlchemy raises."""
        try:
            await finish_in_thread(self._thread, self._connect)
        except BaseException:
            await self.close()
            raise

    async def run_sync(self, work: Callable[..., T], *args: Any) -> T:
        """See `WritingLink`."""
        connection = self._connection
        assert connection is not None
        return await finish_in_thread(self._thread, lambda: work(connection, *args))

    async def close(self) -> None:
        """See `WritingLink`; a second call is harmless."""
        if not self._is_closed:
            self._is_closed = True
            try:
                await finish_in_thread(self._thread, self._disconnect)
            finally:
                self._thread.shutdown(wait=False)

    def _connect(self) -> None:
        self._connection = self._engine.connect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                connection.invalidate()
            with contextlib.suppress(SQLAlchemyError):
                connection.close()
