"""Work that must come to its end before a cancellation may go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
    """Await `work` to its end; a cancellation that comes meanwhile is raised after it."""
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        # Retrieved, so that a failure nobody waits for is not reported a second time.
        if not running.cancelled():
            running.exception()
        raise cancelled
    return running.result()


async def finish_in_thread(executor: Executor, work: Callable[[], T]) -> T:
    """Run blocking `work` to its end in a thread of `executor`; a thread cannot be cancelled.

    Never asyncio's own pool: it is small and resolves names too, so that a slow name server would
    hold up a disk.
    """
    return await finish(asyncio.get_running_loop().run_in_executor(executor, work))
