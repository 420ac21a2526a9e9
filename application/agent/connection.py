"""Keeps a link to the control plane, for ever.

A session is one link's life: it reads, writes and confirms, and ends with the link. Jobs belong to
the dispatcher, so what ends here cancels none of them; their results wait in the outbox.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

from application.agent.dispatch import Dispatcher
from application.agent.outbox import Outbox
from application.ports.clock import Clock
from application.ports.transport import Link, Transport
from domain.errors import TransportLost, TransportRefused

logger = logging.getLogger(__name__)

STABLE_AFTER_S: Final = 60.0
"""A session shorter than this does not reset the backoff: a server that accepts and closes at once
must not be dialled once a second for ever."""
REFUSED_DELAY_S: Final = 120.0
LONGEST_RETRY_AFTER_S: Final = 3600.0


class Connection:
    """Connects, serves the link until it ends, waits, and connects again."""

    def __init__(
        self,
        *,
        transport: Transport,
        dispatcher: Dispatcher,
        outbox: Outbox,
        clock: Clock,
        delays: Callable[[], Iterator[float]],
    ) -> None:
        self._transport = transport
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._clock = clock
        self._delays = delays

    async def run(self) -> None:
        """Serve until cancelled, which closes the link; no failure of a link ends it."""
        series = self._delays()
        while True:
            started = self._clock.monotonic()
            try:
                await self._serve_one_link()
            except TransportRefused as exc:
                delay = max(REFUSED_DELAY_S, _bounded(exc.retry_after_s))
                logger.error("%s: %s; trying again in %.0f s", exc, exc.advice, delay)
            except TransportLost as exc:
                if self._clock.monotonic() - started >= STABLE_AFTER_S:
                    series = self._delays()
                delay = max(next(series), _bounded(exc.retry_after_s))
                logger.warning("%s; connecting again in %.1f s", exc, delay)
            await self._clock.sleep(delay)

    async def _serve_one_link(self) -> NoReturn:
        link = await self._transport.connect()
        logger.info("connected")
        end: TransportLost | None = None
        try:
            async with asyncio.TaskGroup() as session:
                session.create_task(self._read(link), name="session-reader")
                session.create_task(self._write(link), name="session-writer")
                session.create_task(self._confirm(link), name="session-confirmer")
        except* TransportLost as lost:
            # Raised below: before Python 3.11.4, what is raised here comes out as a group again.
            end = _first(lost)
        finally:
            self._outbox.rewind()
            await link.close("the agent is stopping")
        assert end is not None, "a session ends only with its link"
        raise end

    async def _read(self, link: Link) -> None:
        while True:
            await self._outbox.room()
            self._dispatcher.submit(await link.receive())
            # A burst of frames is received without waiting: let the jobs and the writer in between.
            await self._clock.sleep(0)

    async def _write(self, link: Link) -> None:
        while True:
            event = await self._outbox.take()
            await link.send(event)
            self._outbox.sent()

    async def _confirm(self, link: Link) -> None:
        while True:
            mark = await self._outbox.sent_unconfirmed()
            await link.confirm()
            self._outbox.confirm(mark)


def _bounded(retry_after_s: float | None) -> float:
    return min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)


def _first(group: BaseExceptionGroup[TransportLost]) -> TransportLost:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, TransportLost)
    return found
