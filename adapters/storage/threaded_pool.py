"""A few connections that read, each in a thread of its own; who comes first is served first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from adapters.storage.threaded_connection import ThreadedConnection
from domain.errors import StorageBusy


class ThreadedPool:
    """Connects when somebody reads; a connection that has failed is not used again."""

    def __init__(self, engine: Engine, *, size: int, patience_s: float) -> None:
        self._engine = engine
        self._patience_s = patience_s
        self._places = asyncio.Semaphore(size)
        self._idle: list[ThreadedConnection] = []
        self._is_closed = False

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[ThreadedConnection]:
        """One of them; raises `StorageBusy` where others have them all for too long."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._places.acquire()
        except TimeoutError:
            raise StorageBusy("too many wait for the database") from None
        try:
            connection = await self._connected()
            try:
                yield connection
            except DBAPIError:
                await connection.close()
                raise
            except BaseException:
                await self._take_back(connection)
                raise
            await self._take_back(connection)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close those that nobody uses, and each other one when it is given back."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _connected(self) -> ThreadedConnection:
        if self._idle:
            return self._idle.pop()
        connection = ThreadedConnection(self._engine)
        await connection.connect()
        return connection

    async def _take_back(self, connection: ThreadedConnection) -> None:
        if self._is_closed:
            await connection.close()
        else:
            self._idle.append(connection)
