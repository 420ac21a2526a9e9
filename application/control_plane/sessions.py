"""Requests that stay open: they end when who asks may not do the same any more, and with the program."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Final

from application.control_plane.access import Access
from application.ports.clock import Clock
from domain.errors import StorageUnavailable
from domain.fleet.access import Principal

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0


class Session:
    """One open request."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
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
    def opened(self, principal: Principal) -> Iterator[Session]:
        """A session for as long as the context lasts."""
        session = Session(principal)
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
        """Look again and again whether the tokens of open sessions are still good, and for the same.

        For ever. Whoever may do more or less than before asks again, and is judged anew.
        """
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self._look()

    async def _look(self) -> None:
        for token_hash in {session.principal.token_hash for session in self._open}:
            try:
                now = await self._access.with_hash(token_hash)
            except StorageUnavailable as exc:
                logger.warning("whether tokens are still good cannot be read: %s", exc)
                return
            for session in self._open:
                before = session.principal
                if before.token_hash == token_hash and (now is None or now.scopes != before.scopes):
                    session.ended.set()
