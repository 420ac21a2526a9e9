"""Events on their way to the control plane.

A final event stays here until the peer has proven that it arrived, so that a socket that dies at
the wrong moment loses no result: after the reconnect it is sent again (protocol v1: at least once).
An acknowledgement only means something on the link that its command came on, and goes with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from domain.events import Event, JobReceived

MAX_UNSENT: Final = 4096
MAX_UNCONFIRMED: Final = 16_384
MAX_BYTES: Final = 32 * 1024 * 1024
SENDS_BEFORE_SLIMMING: Final = 3
"""A link that ends each time an event is sent may end because of it: it then goes without output."""

_NO_SPACE = "[output dropped: too many results were waiting to be sent]"
_UNDELIVERABLE = "[output dropped: the link ended each time it was sent]"


@dataclass(slots=True, eq=False)
class _Entry:
    event: Event
    sends: int = 0
    ticket: int = 0

    @property
    def size(self) -> int:
        return 64 if isinstance(self.event, JobReceived) else len(self.event.logs) + 256


class Outbox:
    """Never refuses an event; whoever causes events waits for `room` first.

    `room` counts what is unsent only: a peer's confirmations may stand behind messages that have yet
    to be read. A peer that lets more than `max_unconfirmed` results pass without confirming any has
    the oldest ones taken as confirmed.
    """

    def __init__(
        self,
        *,
        max_unsent: int = MAX_UNSENT,
        max_unconfirmed: int = MAX_UNCONFIRMED,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._max_unsent = max_unsent
        self._max_unconfirmed = max_unconfirmed
        self._max_bytes = max_bytes
        self._waiting: deque[_Entry] = deque()
        self._taken: deque[_Entry] = deque()
        self._bytes = 0
        self._last_taken = 0
        self._last_sent = 0
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._taken)

    def put(self, event: Event) -> None:
        """Add an event at the end; past the bound on memory it goes without its output."""
        if not isinstance(event, JobReceived) and self._bytes + len(event.logs) > self._max_bytes:
            event = replace(event, logs=_NO_SPACE)
        entry = _Entry(event)
        self._waiting.append(entry)
        self._bytes += entry.size
        self._signal()

    async def room(self) -> None:
        """Wait until few enough events are unsent for another message to be taken in."""
        while len(self._waiting) >= self._max_unsent:
            await self._change()

    async def take(self) -> Event:
        """Wait for the oldest event that is to be sent, and call it being sent."""
        while not self._waiting:
            await self._change()
        entry = self._waiting.popleft()
        entry.sends += 1
        self._last_taken += 1
        entry.ticket = self._last_taken
        if isinstance(entry.event, JobReceived):
            self._bytes -= entry.size
        else:
            self._taken.append(entry)
            if len(self._taken) > self._max_unconfirmed:
                self._bytes -= self._taken.popleft().size
        self._signal()
        return entry.event

    def sent(self) -> None:
        """What was taken so far has left this process."""
        self._last_sent = self._last_taken
        self._signal()

    async def sent_unconfirmed(self) -> int:
        """Wait until a final event is sent and not confirmed; returns the mark to confirm up to."""
        while not self._taken or self._taken[0].ticket > self._last_sent:
            await self._change()
        return self._last_sent

    def confirm(self, mark: int) -> None:
        """Everything sent up to the mark has arrived, and is forgotten."""
        while self._taken and self._taken[0].ticket <= mark:
            self._bytes -= self._taken.popleft().size
        self._signal()

    def rewind(self) -> None:
        """The link is gone: unconfirmed final events wait again, in order, before all others."""
        kept = [*self._taken, *(e for e in self._waiting if not isinstance(e.event, JobReceived))]
        for entry in kept:
            if entry.sends >= SENDS_BEFORE_SLIMMING:
                entry.event = _without_output(entry.event)
        self._waiting = deque(kept)
        self._taken.clear()
        self._bytes = sum(entry.size for entry in kept)
        self._signal()

    async def empty(self) -> None:
        """Wait until every event has been sent, and the final ones confirmed."""
        while len(self):
            await self._change()

    def _signal(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _change(self) -> None:
        await self._moved.wait()


def _without_output(event: Event) -> Event:
    return event if isinstance(event, JobReceived) else replace(event, logs=_UNDELIVERABLE)
