"""Links made of queues that carry real frames, so that tests see what a control plane would see."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, Literal, TypeVar

from adapters.wire.codec import decode, encode
from adapters.wire.codec_v2 import decode_v2, encode_v2
from domain.errors import InstaDeployError, TransportLost, TransportRefused
from domain.events import Event
from domain.link_messages import Ending, Heard, Said
from domain.messages import Message


class _Frames:
    """What links of both versions are made of. The control plane's end takes hold of it."""

    def __init__(self) -> None:
        self.to_agent: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.to_control_plane: asyncio.Queue[str] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.end: TransportLost | TransportRefused = TransportLost("the link was cut")
        """What is raised once `lost` is set; a test may put what a close code means in its place."""
        self.close_reason: str | None = None
        self._taken_back: str | bytes | None = None

    async def _next_frame(self) -> str | bytes:
        """What was sent before the link was cut is still received; cancelling it loses nothing."""
        if self._taken_back is not None:
            taken_back, self._taken_back = self._taken_back, None
            return taken_back
        if not self.to_agent.empty():
            return self.to_agent.get_nowait()
        frame = asyncio.ensure_future(self.to_agent.get())
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({frame, lost}, return_when=asyncio.FIRST_COMPLETED)
            if frame.done():
                return frame.result()
            raise self.end
        except asyncio.CancelledError:
            # The frame may have left the queue already: the next call gets it then.
            if not frame.cancel():
                self._taken_back = frame.result()
            raise
        finally:
            frame.cancel()
            lost.cancel()

    async def _until(self, event: asyncio.Event) -> None:
        happens = asyncio.ensure_future(event.wait())
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({happens, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            happens.cancel()
            lost.cancel()
        self._check()

    def _close(self, reason: str) -> bool:
        is_first = not self.lost.is_set()
        if is_first:
            self.close_reason = reason
            self.lost.set()
        return is_first

    def _check(self) -> None:
        if self.lost.is_set():
            raise self.end


class InMemoryLink(_Frames):
    """The agent's end of one link of protocol v1."""

    def __init__(self) -> None:
        super().__init__()
        self.confirms = asyncio.Event()
        self.confirms.set()

    @property
    def version(self) -> Literal[1]:
        """See `Link`."""
        return 1

    async def receive(self) -> Message:
        """See `Link`; what was sent before the link was cut is still received."""
        return decode(await self._next_frame())

    async def send(self, event: Event) -> None:
        """See `Link`."""
        self._check()
        self.to_control_plane.put_nowait(encode(event))

    async def confirm(self) -> None:
        """See `Link`; waits while the control plane's end withholds confirmations."""
        await self._until(self.confirms)

    async def close(self, reason: str) -> None:
        """See `Link`."""
        self._close(reason)


class InMemorySequencedLink(_Frames):
    """The agent's end of one link of protocol v2."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = asyncio.Event()
        """While it is not set, the control plane's end takes nothing."""
        self.takes.set()
        self.silence_s = 0.0
        """See `SequencedLink`; set by whoever plays the control plane."""
        self.ending: Ending | None = None

    @property
    def version(self) -> Literal[2]:
        """See `SequencedLink`."""
        return 2

    async def hear(self) -> Heard:
        """See `SequencedLink`; what was sent before the link was cut is still heard."""
        return decode_v2(await self._next_frame())

    async def say(self, message: Said) -> None:
        """See `SequencedLink`."""
        frame = encode_v2(message)
        await self._until(self.takes)
        self.to_control_plane.put_nowait(frame)

    async def close(self, ending: Ending, reason: str) -> None:
        """See `SequencedLink`."""
        if self._close(reason):
            self.ending = ending


LinkT = TypeVar("LinkT", bound=_Frames)


class _Attempts(Generic[LinkT]):
    """Gives a fresh link at each attempt, or the failures that the test queued up."""

    def __init__(self, make_link: type[LinkT]) -> None:
        self.failures: deque[InstaDeployError] = deque()
        self.attempts = 0
        self.links: asyncio.Queue[LinkT] = asyncio.Queue()
        self._make_link = make_link

    async def connect(self) -> LinkT:
        """See `Transport`."""
        self.attempts += 1
        if self.failures:
            raise self.failures.popleft()
        link = self._make_link()
        self.links.put_nowait(link)
        return link


class InMemoryTransport(_Attempts[InMemoryLink]):
    """To a control plane that speaks protocol v1 alone."""

    def __init__(self) -> None:
        super().__init__(InMemoryLink)


class InMemorySequencedTransport(_Attempts[InMemorySequencedLink]):
    """To a control plane that has chosen protocol v2."""

    def __init__(self) -> None:
        super().__init__(InMemorySequencedLink)
