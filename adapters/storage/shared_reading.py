"""Reads at once what many ask for at the same time: most of what a read costs is not the reading."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_TOGETHER: Final = 500

ReadAll = Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]
"""What was found for the keys; it may leave out all but the first, which are asked for again then."""


class SharedReading(Generic[K, V]):
    """Those who come while it reads share what is read next: nobody gets what was read before he asked."""

    def __init__(self, read_all: ReadAll[K, V], *, most: int = MOST_TOGETHER) -> None:
        self._read_all = read_all
        self._most = most
        self._waiting: dict[K, list[asyncio.Future[V]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, key: K) -> V:
        """What is found for the key; raises what reading raises."""
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._read(), name="reading for many")
        return await future

    async def _read(self) -> None:
        asked: dict[K, list[asyncio.Future[V]]] = {}
        try:
            while asked := self._next():
                await self._answer(asked)
        finally:
            self._task = None
            # Where it was cancelled, as the loop comes to its end, so is who waits for it.
            for future in (*_each(asked.values()), *_each(self._waiting.values())):
                future.cancel()
            self._waiting.clear()

    def _next(self) -> dict[K, list[asyncio.Future[V]]]:
        asked: dict[K, list[asyncio.Future[V]]] = {}
        while self._waiting and len(asked) < self._most:
            key = next(iter(self._waiting))
            futures = [future for future in self._waiting.pop(key) if not future.done()]
            if futures:  # Else nobody waits for it any more.
                asked[key] = futures
        return asked

    async def _answer(self, asked: Mapping[K, list[asyncio.Future[V]]]) -> None:
        try:
            found = await self._read_all(list(asked))
        except Exception as exc:  # noqa: BLE001 - raised to each who waits for it
            for future in _each(asked.values()):
                future.set_exception(exc)
            return
        for key, futures in asked.items():
            if key in found:
                for future in _each([futures]):
                    future.set_result(found[key])
            else:
                self._waiting[key] = futures + self._waiting.get(key, [])


def _each(asked: Iterable[list[asyncio.Future[V]]]) -> Iterator[asyncio.Future[V]]:
    """Those that still wait."""
    return (future for futures in asked for future in futures if not future.done())
