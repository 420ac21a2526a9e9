"""A network that changes when a test says so."""

from __future__ import annotations

import asyncio


class FakeNetwork:
    """`change` tells everybody who waits."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Let a link go up, or an address come."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """See `NetworkChanges`."""
        await self._changed.wait()
