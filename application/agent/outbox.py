"""Events on their way to a control plane that speaks protocol v1.

A final event stays here until the peer has proven that it arrived, so that a socket that dies at
the wrong moment loses no result: after the reconnect it is sent again (protocol v1: at least once).
An acknowledgement only means something on the link that its command came on, and goes with it. What is
in the journal too is here only while a link is up: each link begins with what the journal has.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from domain.events import Event, FinalEvent, JobReceived

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
    is_journalled: bool = False

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
        self._is_attached = False
        self._journalled_sends: Counter[str] = Counter()
        self.link_number = 0
        """Rises with each link that ends."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self._taken)

    def attach(self, results: Iterable[FinalEvent]) -> None:
        """A link is up; these results are in the journal, and are sent before anything else."""
        entries = [self._journalled(result) for result in results]
        self._waiting.extendleft(reversed(entries))
        self._bytes += sum(entry.size for entry in entries)
        self._is_attached = True
        self._signal()

    def put_result(self, event: FinalEvent) -> None:
        """Add a result that is in the journal; without a link, the next one begins with it."""
        if self._is_attached:
            self._add(self._journalled(event))

    def put(self, event: Event) -> None:
        """Add an event at the end; past the bound on memory it goes without its output."""
        self._add(_Entry(event))

    def _journalled(self, event: FinalEvent) -> _Entry:
        sends = self._journalled_sends[event.job_id]
        slim = _without_output(event) if sends >= SENDS_BEFORE_SLIMMING else event
        return _Entry(slim, sends, is_journalled=True)

    def _add(self, entry: _Entry) -> None:
        event = entry.event
        if not isinstance(event, JobReceived) and self._bytes + len(event.logs) > self._max_bytes:
            entry.event = replace(event, logs=_NO_SPACE)
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
        if entry.is_journalled:
            self._journalled_sends[entry.event.job_id] = entry.sends
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

    def confirm(self, mark: int) -> tuple[str, ...]:
        """Everything sent up to the mark has arrived, and is forgotten.

        Returns the ids of the jobs whose arrival the journal has to know of.
        """
        arrived = []
        while self._taken and self._taken[0].ticket <= mark:
            entry = self._taken.popleft()
            self._bytes -= entry.size
            if entry.is_journalled:
                arrived.append(entry.event.job_id)
                del self._journalled_sends[entry.event.job_id]
        self._signal()
        return tuple(arrived)

    def rewind(self) -> None:
        """The link is gone: unconfirmed final events wait again, in order, before all others."""
        kept = [
            entry
            for entry in (*self._taken, *self._waiting)
            if not isinstance(entry.event, JobReceived) and not entry.is_journalled
        ]
        self._is_attached = False
        self.link_number += 1
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
