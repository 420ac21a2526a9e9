"""Requests that stay open: they end when their token is replaced, and when the program stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Final

from application.control_plane.access import Access
from application.ports.clock import Clock
from domain.errors import StorageUnavailable

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0


class Session:
    """One open request."""

    def __init__(self, token_hash: str) -> None:
        self.token_hash = token_hash
        self.ended = asyncio.Event()
        """Set when the request must not go on."""


class Sessions:
    """All open requests that may last."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._open: set[Session] = set()
        self._is_stopping = False

    @contextlib.contextmanager
    def opened(self, token_hash: str) -> Iterator[Session]:
        """A session for as long as the context lasts."""
        session = Session(token_hash)
        if self._is_stopping:
            session.ended.set()
        self._open.add(session)
        try:
            yield session
        finally:
            self._open.discard(session)

    def end_all(self) -> None:
        """End those that are open, and those to come."""
        self._is_stopping = True
        for session in self._open:
            session.ended.set()

    async def run(self) -> None:
        """Look again and again whether the tokens of open sessions are still good; for ever."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self._look()

    async def _look(self) -> None:
        for token_hash in {session.token_hash for session in self._open}:
            try:
                if await self._access.with_hash(token_hash) is not None:
                    continue
            except StorageUnavailable as exc:
                logger.warning("whether tokens are still good cannot be read: %s", exc)
                return
            for session in self._open:
                if session.token_hash == token_hash:
                    session.ended.set()
