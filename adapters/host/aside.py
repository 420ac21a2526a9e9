"""`Aside` in threads that do not keep the process from ending."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """See `Aside`. An executor's threads would be waited for when the process ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, failure: Exception | None) -> None:
        if done.done():
            return  # Nobody waits any more.
        if failure is not None:
            done.set_exception(failure)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as exc:  # noqa: BLE001 - raised where it is waited for
            failure = exc
        with contextlib.suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=run, name="aside", daemon=True).start()
    return await done


class LoopThatEnds(asyncio.SelectorEventLoop):
    """An event loop whose end waits for no name server that hangs."""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """As every loop's, in a thread that nobody waits for."""
        return await in_daemon_thread(lambda: socket.getaddrinfo(host, port, **options))
