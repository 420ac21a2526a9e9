"""Lets readers pass, but for moments in which somebody needs that there are none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class ReadingGate:
    """Open at first."""

    def __init__(self) -> None:
        self._inside = 0
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @contextlib.asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        """Be a reader, as soon as it is open."""
        while not self._is_open.is_set():
            await self._is_open.wait()
        self._inside += 1
        self._is_empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._is_empty.set()

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Have no readers: those that come wait, those that are there are waited for."""
        self._is_open.clear()
        try:
            await self._is_empty.wait()
            yield
        finally:
            self._is_open.set()
