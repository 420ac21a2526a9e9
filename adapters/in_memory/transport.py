"""A link made of queues that carries real frames, so that tests see what a control plane would see."""

from __future__ import annotations

import asyncio
from collections import deque

from adapters.wire.codec import decode, encode
from domain.errors import InstaDeployError, TransportLost
from domain.events import Event
from domain.messages import Message


class InMemoryLink:
    """The agent's end of one link."""

    def __init__(self) -> None:
        self.to_agent: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.to_control_plane: asyncio.Queue[str] = asyncio.Queue()
        self.confirms = asyncio.Event()
        self.confirms.set()
        self.lost = asyncio.Event()
        self.close_reason: str | None = None
        self._taken_back: str | bytes | None = None

    async def receive(self) -> Message:
        """See `Link`; what was sent before the link was cut is still received."""
        if self._taken_back is not None:
            taken_back, self._taken_back = self._taken_back, None
            return decode(taken_back)
        if not self.to_agent.empty():
            return decode(self.to_agent.get_nowait())
        frame = asyncio.ensure_future(self.to_agent.get())
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({frame, lost}, return_when=asyncio.FIRST_COMPLETED)
            if frame.done():
                return decode(frame.result())
            raise TransportLost("the link was cut")
        except asyncio.CancelledError:
            # The frame may have left the queue already: the next call gets it then.
            if not frame.cancel():
                self._taken_back = frame.result()
            raise
        finally:
            frame.cancel()
            lost.cancel()

    async def send(self, event: Event) -> None:
        """See `Link`."""
        self._check()
        self.to_control_plane.put_nowait(encode(event))

    async def confirm(self) -> None:
        """See `Link`; waits while the control plane's end withholds confirmations."""
        confirms = asyncio.ensure_future(self.confirms.wait())
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({confirms, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            confirms.cancel()
            lost.cancel()
        self._check()

    async def close(self, reason: str) -> None:
        """See `Link`."""
        if not self.lost.is_set():
            self.close_reason = reason
            self.lost.set()

    def _check(self) -> None:
        if self.lost.is_set():
            raise TransportLost("the link was cut")


class InMemoryTransport:
    """Gives a fresh link at each attempt, or the failures that the test queued up."""

    def __init__(self) -> None:
        self.failures: deque[InstaDeployError] = deque()
        self.attempts = 0
        self.links: asyncio.Queue[InMemoryLink] = asyncio.Queue()

    async def connect(self) -> InMemoryLink:
        """See `Transport`."""
        self.attempts += 1
        if self.failures:
            raise self.failures.popleft()
        link = InMemoryLink()
        self.links.put_nowait(link)
        return link
