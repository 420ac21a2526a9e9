"""The agent's life: remember, serve, and when told to stop, end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from application.agent.admission import Admission
from application.agent.connection import Connection
from application.agent.dispatch import Dispatcher
from application.agent.job_book import JobBook
from application.agent.leftovers import Leftovers
from application.agent.outbox import Outbox
from application.ports.clock import Clock
from application.ports.service_manager import ServiceManager

logger = logging.getLogger(__name__)

LAST_WORDS_S: Final = 5.0
"""How long results may take to reach the control plane once nothing is begun any more."""

BEATS_A_WATCHDOG: Final = 3
"""How often the watchdog is told in its time: one that comes late must not be the last."""


class Agent:
    """Runs all parts until a stop is asked for."""

    def __init__(
        self,
        *,
        book: JobBook,
        admission: Admission,
        dispatcher: Dispatcher,
        connection: Connection,
        leftovers: Leftovers,
        outbox: Outbox,
        clock: Clock,
        manager: ServiceManager,
    ) -> None:
        self._book = book
        self._admission = admission
        self._dispatcher = dispatcher
        self._connection = connection
        self._leftovers = leftovers
        self._outbox = outbox
        self._clock = clock
        self._manager = manager
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def request_stop(self) -> None:
        """Stop gracefully; asked a second time, without last words."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self) -> None:
        """Serve until `request_stop`, then end in good order.

        What runs goes on without the agent, and is found again when it starts the next time. Raises
        `StorageUnavailable` or `JournalFailed` where the journal cannot be opened, and a group with a
        `JournalFailed` in it where its disk fails later.
        """
        await self._book.open()
        try:
            async with asyncio.TaskGroup() as parts:
                await self._serve(parts)
        finally:
            await self._book.close()

    async def _serve(self, parts: asyncio.TaskGroup) -> None:
        await self._leftovers.recover()
        ready = [asyncio.Event(), asyncio.Event()]
        dispatching = parts.create_task(self._dispatcher.run(ready[0]), name="dispatcher")
        admitting = parts.create_task(self._admission.run(ready[1]), name="admission")
        for started in ready:
            await started.wait()
        keeping = parts.create_task(self._book.keep_small(), name="journal")
        sweeping = parts.create_task(self._leftovers.run(), name="leftovers")
        connecting = parts.create_task(self._connection.run(), name="connection")
        watching = parts.create_task(self._feed_watchdog(), name="watchdog")
        self._manager.ready()
        await self._stop.wait()
        self._manager.stopping()
        logger.info("stopping; jobs that run go on, and are found again by the next start")
        self._admission.close()
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(LAST_WORDS_S):
                await self._admission.settled()
        # Now that no read can come behind a change that was being written down.
        self._dispatcher.drain()
        dispatching.cancel()
        await asyncio.wait({dispatching})
        await self._say_last_words()
        # Closes the link, in the time that the transport allows for that.
        connecting.cancel()
        await asyncio.wait({connecting})
        for part in (admitting, keeping, sweeping, watching):
            part.cancel()

    async def _feed_watchdog(self) -> None:
        """A loop that hangs does not come by here, and the manager kills and starts the agent.

        One whose disk does not answer any more is no better: nothing can be accepted or ended. A full
        disk does answer, and being offline or idle is no hang.
        """
        watchdog_s = self._manager.watchdog_s
        if watchdog_s is None:
            return
        while True:
            owed_since = self._book.owed_since
            if owed_since is None or self._clock.monotonic() - owed_since < watchdog_s:
                self._manager.alive()
            else:
                logger.error("the journal's disk has not answered for %.0f s", watchdog_s)
            await self._clock.sleep(watchdog_s / BEATS_A_WATCHDOG)

    async def _say_last_words(self) -> None:
        said = asyncio.create_task(self._outbox.empty(), name="last-words")
        hurried = asyncio.create_task(self._hurry.wait(), name="hurry")
        try:
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(LAST_WORDS_S):
                    await asyncio.wait({said, hurried}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            said.cancel()
            hurried.cancel()
        if len(self._outbox):
            logger.warning("%d answers could not be delivered before stopping", len(self._outbox))
