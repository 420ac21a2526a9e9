"""Serves one link of protocol v1: answers go out in order, and results again until they are confirmed."""

from __future__ import annotations

import asyncio

from application.agent.admission import Admission
from application.agent.job_book import JobBook
from application.agent.losing import STOPPING, Loss, first_loss, forever
from application.agent.outbox import Outbox
from application.ports.clock import Clock
from application.ports.transport import Link
from domain.errors import TransportLost
from domain.events import final_event_of
from domain.records import ResultsDelivered


class PlainServing:
    """What all links of v1 have in common."""

    def __init__(
        self, *, book: JobBook, admission: Admission, outbox: Outbox, clock: Clock
    ) -> None:
        self._book = book
        self._admission = admission
        self._outbox = outbox
        self._clock = clock

    async def serve(self, link: Link) -> None:
        """Serve until the link ends, which raises `TransportLost`; cancelled, it closes the link."""
        end: Loss | None = None
        try:
            if self._book.ledger.peer_epoch:
                # It remembers nothing of what a peer with sequence numbers was told. What that one
                # said last is written down before its numbers mean nothing any more.
                await self._admission.settled()
                await self._book.begin_epoch()
            self._outbox.attach(
                [final_event_of(result) for result in self._book.ledger.undelivered()]
            )
            async with asyncio.TaskGroup() as session:
                session.create_task(self._read(link), name="session-reader")
                session.create_task(self._write(link), name="session-writer")
                session.create_task(self._confirm(link), name="session-confirmer")
                await forever()
        except* TransportLost as lost:
            # Raised below: before Python 3.11.4, what is raised here comes out as a group again.
            end = first_loss(lost)
        finally:
            self._outbox.rewind()
            await link.close(STOPPING)
        if end is not None:
            raise end

    async def _read(self, link: Link) -> None:
        while True:
            await self._outbox.room()
            await self._admission.room()
            self._admission.submit(await link.receive())
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
            if arrived := self._outbox.confirm(mark):
                await self._book.record(ResultsDelivered(arrived), must=True)
