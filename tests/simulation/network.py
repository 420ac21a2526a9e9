"""Links that carry real frames, with latency, and with all that can go wrong with frames."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from adapters.wire.codec import decode, encode
from adapters.wire.codec_v2 import decode_v2, encode_v2
from domain.errors import TransportLost
from domain.events import Event, JobReceived
from domain.link_messages import (
    Accept,
    Acknowledge,
    CancelMessage,
    CommandMessage,
    Ending,
    Heard,
    Heartbeat,
    OutputChunk,
    Reject,
    Result,
    Said,
)
from domain.messages import Message

MAY_COME_TWICE: Final = (
    Accept,
    Acknowledge,
    CancelMessage,
    CommandMessage,
    Heartbeat,
    OutputChunk,
    Reject,
    Result,
    JobReceived,
)
MAY_SWAP: Final = (Accept, Reject, Result, CommandMessage, CancelMessage)
V1_PATIENCE_S: Final = 60.0


class _Word:
    """What is no frame."""


_PING, _PONG, _CLOSE = _Word(), _Word(), _Word()


@dataclass(slots=True)
class NetworkFaults:
    """What goes wrong with frames; changed as the plan says."""

    slowest_s: float = 0.02
    duplicates: float = 0.0
    swaps: float = 0.0
    duplicate_next: int = 0
    cut_at_frame: int = 0
    """The link that carries the frame of this number is cut then."""


class _Direction:
    """One way: frames arrive in the order in which they were sent, unless the link is cut before."""

    def __init__(
        self, rng: Random, faults: NetworkFaults, arrive: Callable[[str | _Word], None]
    ) -> None:
        self.frozen_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._rng = rng
        self._faults = faults
        self._arrive = arrive
        self._under_way: deque[tuple[str | _Word, bool]] = deque()
        self._last_at = 0.0

    def send(self, frame: str | _Word, *, may_swap: bool = False) -> bool:
        """Returns whether it has overtaken another one."""
        last = self._under_way[-1] if self._under_way else None
        overtakes = (
            may_swap
            and last is not None
            and last[1]
            and self._faults.swaps > 0
            and self._rng.random() < self._faults.swaps
        )
        self._under_way.insert(len(self._under_way) - overtakes, (frame, may_swap))
        at = self._loop.time() + self._rng.random() * self._faults.slowest_s
        self._last_at = max(at, self._last_at + 1e-6)
        self._loop.call_at(self._last_at, self._next)
        return overtakes

    def cut(self) -> None:
        self._under_way.clear()

    def _next(self) -> None:
        if not self._under_way:
            return
        if self._loop.time() < self.frozen_until:
            self._last_at = max(self._last_at, self.frozen_until)
            self._loop.call_at(self.frozen_until, self._next)
            return
        self._arrive(self._under_way.popleft()[0])


class Wire:
    """One connection. The control plane's end sets `hear` and `lost`; the agent's is `link`."""

    def __init__(
        self, rng: Random, faults: NetworkFaults, counts: Counter[str], version: Literal[1, 2]
    ) -> None:
        self.version = version
        self.hear: Callable[[str], None] = lambda _frame: None
        self.lost: Callable[[], None] = lambda: None
        self.heard_at = asyncio.get_running_loop().time()
        self.is_cut = False
        self.link = PlainLink(self) if version == 1 else SequencedLink(self)
        self._loop = asyncio.get_running_loop()
        self._rng = rng
        self._faults = faults
        self._counts = counts
        self._up = _Direction(rng, faults, self._arrive_up)
        self._down = _Direction(rng, faults, self._arrive_down)

    def say_down(self, message: Heard, frame: str) -> None:
        """The control plane sends."""
        self._send(self._down, message, frame)

    def say_plainly(self, frame: str) -> None:
        """The control plane sends a command of v1: those never come twice by themselves."""
        self._down.send(frame)

    def say_up(self, message: Said | Event, frame: str) -> None:
        """The agent sends."""
        self._send(self._up, message, frame)

    def send_up(self, word: _Word) -> None:
        """The agent's end says something that is no frame."""
        if not self.is_cut:
            self._up.send(word)

    def close(self) -> None:
        """The control plane closes; the agent hears of it behind all that was sent."""
        if not self.is_cut:
            self._down.send(_CLOSE)

    def cut(self) -> None:
        """Both ends find the connection gone, and what was under way with it."""
        if not self.is_cut:
            self.is_cut = True
            self._up.cut()
            self._down.cut()
            self.link.end("the link was cut")
            self.lost()

    def vanish(self) -> None:
        """The agent's machine is gone, and its other end is not told."""
        self._up.cut()
        self._down.cut()
        self.link.end("the machine is gone")

    def freeze(self, *, up: bool, until: float) -> None:
        """Nothing arrives in one direction for a while."""
        direction = self._up if up else self._down
        direction.frozen_until = until
        if self.version == 1 and until - self._loop.time() > V1_PATIENCE_S:
            self._loop.call_later(V1_PATIENCE_S, self.cut)

    def _send(self, way: _Direction, message: object, frame: str) -> None:
        if self.is_cut:
            return
        self._counts["frames"] += 1
        if self._counts["frames"] == self._faults.cut_at_frame:
            self._loop.call_soon(self.cut)
        if way.send(frame, may_swap=self.version != 1 and isinstance(message, MAY_SWAP)):
            self._counts["swaps"] += 1
        if isinstance(message, MAY_COME_TWICE) and self._comes_twice():
            self._counts["duplicates"] += 1
            way.send(frame)

    def _comes_twice(self) -> bool:
        if self._faults.duplicate_next:
            self._faults.duplicate_next -= 1
            return True
        return self._faults.duplicates > 0 and self._rng.random() < self._faults.duplicates

    def _arrive_up(self, frame: str | _Word) -> None:
        self.heard_at = self._loop.time()
        if isinstance(frame, str):
            self.hear(frame)
        elif frame is _PING:
            self._down.send(_PONG)
        else:
            self.cut()

    def _arrive_down(self, frame: str | _Word) -> None:
        self.link.heard_at = self._loop.time()
        if isinstance(frame, str):
            self.link.arrived(frame)
        elif frame is _PONG:
            self.link.confirmed()
        else:
            self.cut()


class _AgentsEnd:
    def __init__(self, wire: Wire) -> None:
        self.heard_at = wire.heard_at
        self._wire = wire
        self._inbox: deque[str] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._confirming: deque[asyncio.Future[None]] = deque()
        self._lost: str | None = None

    def arrived(self, frame: str) -> None:
        self._inbox.append(frame)
        self._wake_reader()

    def confirmed(self) -> None:
        if self._confirming:
            waiting = self._confirming.popleft()
            if not waiting.done():
                waiting.set_result(None)

    def end(self, why: str) -> None:
        if self._lost is not None:
            return
        self._lost = why
        self._inbox.clear()
        self._wake_reader()
        while self._confirming:
            self.confirmed()

    async def next_frame(self) -> str:
        while True:
            self._check()
            if self._inbox:
                return self._inbox.popleft()
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _check(self) -> None:
        if self._lost is not None:
            raise TransportLost(self._lost)

    def _close(self, why: str) -> None:
        if self._lost is None:
            self.end(why)
            self._wire.send_up(_CLOSE)


class SequencedLink(_AgentsEnd):
    """See the port."""

    @property
    def version(self) -> Literal[2]:
        return 2

    @property
    def silence_s(self) -> float:
        return asyncio.get_running_loop().time() - self.heard_at

    async def hear(self) -> Heard:
        return decode_v2(await self.next_frame())

    async def say(self, message: Said) -> None:
        self._check()
        self._wire.say_up(message, encode_v2(message))

    async def close(self, ending: Ending, reason: str) -> None:
        self._close(reason)


class PlainLink(_AgentsEnd):
    """See the port."""

    @property
    def version(self) -> Literal[1]:
        return 1

    async def receive(self) -> Message:
        return decode(await self.next_frame())

    async def send(self, event: Event) -> None:
        self._check()
        self._wire.say_up(event, encode(event))

    async def confirm(self) -> None:
        self._check()
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._confirming.append(answered)
        self._wire.send_up(_PING)
        await answered
        self._check()

    async def close(self, reason: str) -> None:
        self._close(reason)
