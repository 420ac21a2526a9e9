"""Reads, from connections that do not write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from adapters.storage.backend import Backend
from domain.errors import NoSpace, StorageBusy, StorageUnavailable

K = TypeVar("K")
T = TypeVar("T")


class Reader:
    """What was written before a call is seen by it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def __call__(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns; it is called again where the first connection was stale."""
        try:
            return await self._once(work)
        except (NoSpace, StorageBusy):
            raise
        except StorageUnavailable:
            return await self._once(work)

    def of_all(
        self, read_all: Callable[[Connection, Sequence[K]], Mapping[K, T]]
    ) -> Callable[[Sequence[K]], Awaitable[Mapping[K, T]]]:
        """What `SharedReading` asks for: `read_all`, on one of its connections."""
        return lambda keys: self(lambda connection: read_all(connection, keys))

    async def _once(self, work: Callable[[Connection], T]) -> T:
        async with self._backend.reading() as connection:
            return await connection.run_sync(work)
