"""Whose turn it is to be let in, where more want to come in than can be looked at.

After a restart all agents come at once, and each gives up after some seconds and comes again: looked at
all at the same time, each would take as long as all of them, and what was done for it be done in vain.
So few are looked at at a time, in the order in which they came, and whoever has gone is passed over;
while many wait for that, those who come get no answer to their upgrade request yet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, Protocol

from application.ports.clock import Clock
from domain.fleet.host_effects import LinkEnd

MOST_OPENING: Final = 1_000
"""Links that may be between connecting and having proven who they are."""
OPENING_PATIENCE_S: Final = 2.0
"""Past `MOST_OPENING`, one that has presented nothing for so long makes room for another."""
MOST_AT_ONCE: Final = 8
"""So many are looked at at the same time: enough that the database is asked for many of them at once."""
MOST_WAITING: Final = 64
"""Past so many that wait to be looked at, those who come are held."""
MOST_HELD: Final = 4_000
HELD_S: Final = 6.0
"""Agents wait 10 s for the answer to their upgrade request."""


class BeingOpened(Protocol):
    """A link whose agent has yet to prove who it is."""

    @property
    def is_checking(self) -> bool:
        """Whether what its agent has presented is being looked at."""
        ...

    def end(self, end: LinkEnd, reason: str) -> None:
        """End it; harmless again."""
        ...


class Openings:
    """Of all links."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._links: dict[BeingOpened, float] = {}
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._waiting = 0
        self._held: dict[asyncio.Future[bool], None] = {}
        self._called = 0
        self._is_closed = False

    async def room(self) -> bool:
        """Whether a link may come in whose agent has yet to prove who it is; that may take its time.

        It may end one that has been there for a while and has proven nothing: whoever only holds
        connections open locks nobody out.
        """
        if self._is_closed:
            return False
        if not self._held and self._has_room():
            return True
        if len(self._held) >= MOST_HELD:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._held[answer] = None
        try:
            async with self._clock.timeout(HELD_S):
                return await answer
        except TimeoutError:
            return False
        finally:
            self._held.pop(answer, None)
            if answer.done() and not answer.cancelled():
                self._called -= 1

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until it is one's turn to be looked at; it lasts as long as the context."""
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
            self.call()
        try:
            yield
        finally:
            self._turns.release()

    def opened(self, link: BeingOpened) -> None:
        """It is there."""
        self._links[link] = self._clock.monotonic()

    def left(self, link: BeingOpened) -> None:
        """It has proven who it is, or is over; harmless again."""
        if self._links.pop(link, None) is not None:
            self.call()

    def call(self) -> None:
        """Let in those that are held, as far as there is room; to be called once a second, too."""
        while self._held and (self._is_closed or self._has_room()):
            answer = next(iter(self._held))
            del self._held[answer]
            if not answer.done():  # Else it has just gone, or waited for too long.
                self._called += 1
                answer.set_result(not self._is_closed)

    def close(self) -> None:
        """Let nobody in any more."""
        self._is_closed = True
        self.call()

    def end_all(self, end: LinkEnd, reason: str) -> None:
        """End those that are there."""
        for link in list(self._links):
            link.end(end, reason)

    def _has_room(self) -> bool:
        if self._waiting + self._called >= MOST_WAITING:
            return False
        if len(self._links) + self._called < MOST_OPENING:
            return True
        if not self._links:
            return False
        oldest, since = next(iter(self._links.items()))
        if oldest.is_checking or self._clock.monotonic() - since < OPENING_PATIENCE_S:
            return False
        del self._links[oldest]
        oldest.end(LinkEnd.TOO_MUCH, "too many connections are being opened")
        return True
