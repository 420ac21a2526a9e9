"""Events on their way from the agent's one link to the many HTTP responses that wait for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from domain.errors import Conflict
from domain.events import Event, JobReceived


class StreamCut(Exception):
    """The link was closed before the job's final event came; `str()` says why."""


class JobStream:
    """The events of one job, for the one response that waits for them.

    Asking for the next event says that the last one needs no more care: it is written, or its client
    is gone. The final event is the last one.
    """

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event | StreamCut] = asyncio.Queue()
        self._is_over = False
        self._settled = asyncio.Event()
        self._settled.set()

    def __aiter__(self) -> JobStream:
        return self

    async def __anext__(self) -> Event:
        if self._events.empty():
            self._settled.set()
        if self._is_over:
            raise StopAsyncIteration
        event = await self._events.get()
        if isinstance(event, StreamCut):
            raise event
        self._is_over = not isinstance(event, JobReceived)
        return event

    def put(self, event: Event) -> None:
        """Add an event; it has two in its life, so nothing bounds them."""
        self._settled.clear()
        self._events.put_nowait(event)

    def cut(self, reason: str) -> None:
        """Say that no more events will come."""
        self._events.put_nowait(StreamCut(reason))

    def abandon(self) -> None:
        """Say that nobody will ask for another event."""
        self._settled.set()

    async def settled(self) -> None:
        """Wait until every event that was put has been written or dropped."""
        await self._settled.wait()


class JobStreams:
    """Which response waits for which job."""

    def __init__(self) -> None:
        self._by_job: dict[str, JobStream] = {}
        self._open: set[JobStream] = set()
        self._cut_reason: str | None = None

    @contextlib.contextmanager
    def opened(self, job_id: str) -> Iterator[JobStream]:
        """Take a job's events for as long as the context lasts.

        Raises `Conflict` while another response waits for a job of that id.
        """
        if job_id in self._by_job:
            raise Conflict(
                "id: a command with this id is still being carried out; wait for its end, or use "
                "another id"
            )
        stream = JobStream()
        if self._cut_reason is not None:
            stream.cut(self._cut_reason)
        self._by_job[job_id] = stream
        self._open.add(stream)
        try:
            yield stream
        finally:
            stream.abandon()
            self._open.discard(stream)
            if self._by_job.get(job_id) is stream:
                del self._by_job[job_id]

    def deliver(self, event: Event) -> None:
        """Hand an event to the response that waits for it; without one, drop it."""
        stream = self._by_job.get(event.job_id)
        if stream is None:
            return
        if not isinstance(event, JobReceived):
            # Before the client can read it: from then on it may use the id again.
            del self._by_job[event.job_id]
        stream.put(event)

    async def settled(self) -> None:
        """Wait until every event delivered before this call has been written or dropped."""
        for stream in list(self._open):
            await stream.settled()

    def cut(self, reason: str) -> None:
        """End every stream whose job has not ended, and every one still to come."""
        self._cut_reason = reason
        for stream in self._by_job.values():
            stream.cut(reason)
