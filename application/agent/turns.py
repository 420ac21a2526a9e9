"""Whose turn it is: messages are decided many at once, and what follows from them comes in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

MAX_WAITING: Final = 2048
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024

Follow = Callable[[], None]


def nothing() -> None:
    """What follows from most messages of v2: the ledger has it, and the session looks there."""


@dataclass(slots=True, eq=False)
class Turn:
    """A message that was taken in. `keys` are what it is about, `follow` what follows from it."""

    keys: tuple[str, ...]
    weight: int
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    follow: Follow = nothing


class Turns:
    """In the order in which they were taken. Those about one thing are decided one after another."""

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque()
        self._waiting_bytes = 0
        self._last_about: dict[str, Turn] = {}
        self._moved = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._is_over = False

    @property
    def is_running(self) -> bool:
        """Whether anything can be decided that takes its time."""
        return self._tasks is not None

    async def run(self, started: asyncio.Event) -> None:
        """Own the tasks that decide until cancelled. Raises what they raise."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            started.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._is_over = True

    async def room(self) -> None:
        """Wait until few enough wait for another one to be taken in."""
        while len(self._turns) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
            await self._moved.wait()

    async def settled(self) -> None:
        """Wait until none is left."""
        while self._turns:
            await self._moved.wait()

    def has_any_about(self, *keys: str) -> bool:
        """Whether one that is about any of this is not decided yet."""
        return any(key in self._last_about for key in keys)

    def take(self, *keys: str, weight: int = 0) -> Turn:
        """The next one; `weight` is how many bytes it holds in memory."""
        turn = Turn(keys, weight)
        self._turns.append(turn)
        self._waiting_bytes += turn.weight
        return turn

    def decide(self, turn: Turn, decide: Callable[[], Awaitable[Follow]]) -> None:
        """Have it decided once all earlier ones are that are about the same.

        Never, where `run` is over, or is about to be because a decision has failed: the agent ends
        then, and whoever takes messages in hears of it a moment later.
        """
        if self._tasks is None:
            raise AssertionError("messages are taken in while `run` runs")
        if self._is_over:
            return
        before = [self._last_about[key] for key in turn.keys if key in self._last_about]
        for key in turn.keys:
            self._last_about[key] = turn

        async def in_turn() -> None:
            try:
                for earlier in before:
                    await earlier.decided.wait()
                self.settle(turn, await decide())
            except Exception:
                self._is_over = True
                raise

        self._tasks.create_task(in_turn(), name="admission")

    def settle(self, turn: Turn, follow: Follow) -> None:
        """It is decided: what follows from it follows, once that of all earlier ones has."""
        turn.follow = follow
        turn.decided.set()
        for key in turn.keys:
            if self._last_about.get(key) is turn:
                del self._last_about[key]
        while self._turns and self._turns[0].decided.is_set():
            ready = self._turns.popleft()
            self._waiting_bytes -= ready.weight
            ready.follow()
        self._moved.set()
        self._moved = asyncio.Event()
