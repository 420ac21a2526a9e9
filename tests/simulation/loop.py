"""An event loop in virtual time: nothing ever waits, and the same program always runs the same way.

There are no threads, sockets or signals. When nothing is ready, time jumps to the next timer.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


class OrderedTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address in memory."""

    _serials = itertools.count()

    def __init__(self, *args: Any, **options: Any) -> None:
        self._serial = next(self._serials)
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self._serial


class NothingHappens(AssertionError):
    """Everybody waits for somebody else."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`asyncio.BaseEventLoop` with another clock, and no selector."""

    _timer_cancelled_count: int
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0
        self.turns = 0
        self.failures: list[dict[str, Any]] = []
        """What nobody has caught."""
        OrderedTask._serials = itertools.count()
        self.set_task_factory(_ordered_task)  # type: ignore[arg-type]
        self.set_exception_handler(lambda _loop, context: self.failures.append(context))

    def time(self) -> float:
        return self._now

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run until `main` is over, and close the loop."""
        try:
            return self.run_until_complete(main)
        finally:
            self.close()

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Let `executor`, which has to be one of `SimulatedThreads`, do it in virtual time."""
        assert isinstance(executor, SimulatedThreads)
        return executor.begin(func, *args)

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0].cancelled():
            self._drop_timer()
        if not ready:
            if not scheduled:
                raise NothingHappens("nothing is ready, and no time is waited for")
            self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            handle = self._drop_timer()
            if not handle.cancelled():
                ready.append(handle)
        for _ in range(len(ready)):
            handle_ready = ready.popleft()
            if not handle_ready.cancelled():
                self.turns += 1
                handle_ready._run()

    def _drop_timer(self) -> asyncio.TimerHandle:
        handle = heapq.heappop(self._scheduled)
        handle._scheduled = False  # type: ignore[attr-defined]
        if handle.cancelled():
            self._timer_cancelled_count -= 1
        return handle

    def _write_to_self(self) -> None:
        pass


class Killed(BaseException):
    """The process whose thread this is was killed here."""


class SimulatedThreads(Executor):
    """One process's threads. Work happens at once, at a moment a little later; then it is told of."""

    def __init__(self, rng: Random, *, slowest_s: float) -> None:
        self._random = rng.random
        self._slowest_s = slowest_s
        self._under_way: dict[asyncio.Future[Any], asyncio.TimerHandle] = {}
        self._is_dead = False

    def begin(self, work: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """The future of the work, which ends as cancelled where the process dies before it is told."""
        if self._is_dead:
            raise asyncio.CancelledError
        loop = events.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        delay = self._random() * self._slowest_s
        self._under_way[future] = loop.call_later(delay, self._do, loop, future, work, args)
        return future

    def kill(self) -> None:
        """Nothing more is begun, ended, or told."""
        self._is_dead = True
        for future, handle in self._under_way.items():
            handle.cancel()
            future.cancel()
        self._under_way.clear()

    def _do(
        self,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[T],
        work: Callable[..., T],
        args: tuple[Any, ...],
    ) -> None:
        try:
            result = work(*args)
        except Killed:
            return
        except BaseException as exc:  # noqa: BLE001 - it is raised to whoever waits
            self._tell(loop, future, future.set_exception, exc)
        else:
            self._tell(loop, future, future.set_result, result)

    def _tell(
        self,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        tell: Callable[[Any], None],
        what: object,
    ) -> None:
        def told() -> None:
            self._under_way.pop(future, None)
            tell(what)

        self._under_way[future] = loop.call_later(self._random() * 0.0005, told)


def _ordered_task(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    return OrderedTask(coro, loop=loop, **options)
