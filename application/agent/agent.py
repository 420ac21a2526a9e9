"""The agent's life: serve, and when told to stop, end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from application.agent.connection import Connection
from application.agent.dispatch import Dispatcher
from application.agent.outbox import Outbox
from application.ports.clock import Clock

logger = logging.getLogger(__name__)

LAST_WORDS_S: Final = 5.0
"""How long results may take to reach the control plane once the jobs are over."""


class Agent:
    """Runs the dispatcher and the connection until a stop is asked for."""

    def __init__(
        self,
        *,
        connection: Connection,
        dispatcher: Dispatcher,
        outbox: Outbox,
        clock: Clock,
        shutdown_s: float,
    ) -> None:
        self._connection = connection
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._clock = clock
        self._shutdown_s = shutdown_s
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def request_stop(self) -> None:
        """Stop gracefully; asked a second time, do not wait for running jobs any longer."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self) -> None:
        """Serve until `request_stop`, then end in good order.

        No new commands, a bounded time for running jobs, the results sent as far as that can be
        done, and the link closed.
        """
        async with asyncio.TaskGroup() as parts:
            dispatching = parts.create_task(self._dispatcher.run(), name="dispatcher")
            connecting = parts.create_task(self._connection.run(), name="connection")
            await self._stop.wait()
            logger.info("stopping; running jobs get %.0f s", self._shutdown_s)
            await self._drain()
            dispatching.cancel()
            await asyncio.wait({dispatching})
            await self._say_last_words()
            # Closes the link, in the time that the transport allows for that.
            connecting.cancel()

    async def _drain(self) -> None:
        patience = asyncio.create_task(self._run_out_of_patience(), name="shutdown-patience")
        try:
            await self._dispatcher.drain(self._hurry)
        finally:
            patience.cancel()

    async def _run_out_of_patience(self) -> None:
        await self._clock.sleep(self._shutdown_s)
        self._hurry.set()

    async def _say_last_words(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(LAST_WORDS_S):
                await self._outbox.empty()
        if len(self._outbox):
            logger.warning("%d results could not be delivered before stopping", len(self._outbox))
