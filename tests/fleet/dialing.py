"""Brings up links: not too many at a time, and each from one of several addresses of loopback."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter, deque
from functools import partial
from typing import Final, Protocol

from tests.fleet.upgrade import Caller, Target
from tests.fleet.wire import Link, LinkEnd, Owner

DIALING_S: Final = 10.0
"""Each of connecting and the upgrade has so long."""


class Dialed(Owner, Protocol):
    """Who wants a link. `ended` is what follows in any case, once it has one or not."""

    def caller(self) -> Caller:
        """What the upgrade request says."""


class Dialer:
    """`most` may be connecting at the same time; all others wait for their turn."""

    def __init__(
        self,
        target: Target,
        *,
        tls: ssl.SSLContext | None = None,
        most: int = 256,
        sources: int = 8,
        first_source: int = 1,
    ) -> None:
        self.target = target
        self.counts: Counter[str] = Counter()
        self._tls = tls if target.is_secure else None
        self._most = most
        # An address has only some 28,000 ports.
        self._sources = [f"127.0.{first_source}.{number + 1}" for number in range(sources)]
        self._waiting: deque[Dialed] = deque()
        self._tasks: dict[Dialed, asyncio.Task[None]] = {}

    def dial(self, owner: Dialed) -> None:
        """Connect when it is its turn."""
        self._waiting.append(owner)
        self._dial_more()

    def forget(self, owner: Dialed) -> None:
        """It wants no link any more."""
        with contextlib.suppress(ValueError):
            self._waiting.remove(owner)
        if (task := self._tasks.get(owner)) is not None:
            task.cancel()

    async def stop(self) -> None:
        """Dial nobody any more."""
        self._waiting.clear()
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _dial_more(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._tasks) < self._most:
            owner = self._waiting.popleft()
            task = loop.create_task(self._connect(owner), name="dialing")
            self._tasks[owner] = task
            task.add_done_callback(partial(self._dialed, owner))

    def _dialed(self, owner: Dialed, _: asyncio.Task[None]) -> None:
        self._tasks.pop(owner, None)
        self._dial_more()

    async def _connect(self, owner: Dialed) -> None:
        self.counts["dials"] += 1
        source = self._sources[self.counts["dials"] % len(self._sources)]
        loop = asyncio.get_running_loop()
        link = Link(owner, self.target, owner.caller())
        link.settled = settled = loop.create_future()
        try:
            async with asyncio.timeout(DIALING_S):
                await loop.create_connection(
                    lambda: link,
                    self.target.host,
                    self.target.port,
                    ssl=self._tls,
                    local_addr=(source, 0),
                )
        except (OSError, TimeoutError) as failure:
            link.disown()
            self.counts[type(failure).__name__] += 1
            owner.ended(LinkEnd(reason=f"{type(failure).__name__}: {failure}"))
            return
        try:
            async with asyncio.timeout(DIALING_S):
                await settled
        except TimeoutError:
            self.counts["upgrades too slow"] += 1
            link.cut()
