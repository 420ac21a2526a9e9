"""Sends commands to one agent that speaks v1, a few at a time, and takes up what an earlier link left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from application.control_plane.link_tools import LinkTools, LiveLink, is_running
from application.control_plane.presence import AttendedLink
from application.control_plane.times import seconds_now
from application.ports.agent_link import CommandFrame
from domain.errors import StorageUnavailable
from domain.fleet.host_effects import LinkEnd
from domain.fleet.job import FleetJob, FleetJobState
from domain.fleet.plain_results import CONVERGING, QUESTIONS

logger = logging.getLogger(__name__)

MOST_UNDER_WAY: Final = 16
"""Jobs without a final response, so that an agent's queue is not ours: what waits here can be canceled."""
OUTCOME_S: Final = 300.0
"""So long after a reconnect the final response of a job may come that must not be sent again: it may
have been running all the while."""
OUTCOME_UNKNOWN: Final = "outcome_unknown"


class PlainDelivery:
    """Of one link."""

    __slots__ = (
        "_again",
        "_listener",
        "_previous",
        "_task",
        "_tools",
        "_under_way",
        "_was_left",
    )

    def __init__(self, tools: LinkTools, listener: LiveLink) -> None:
        self._tools = tools
        self._listener = listener
        # Jobs whose final response is awaited, each with the moment at which that is given up, if any.
        self._under_way: dict[str, float | None] = {}
        self._task: asyncio.Task[None] | None = None
        self._previous: AttendedLink | None = None
        self._was_left = True
        self._again = False

    def open(self, previous: AttendedLink | None) -> None:
        """Begin, once nothing of the link that this one replaces is on its way any more."""
        self._previous = previous
        self.go_on()

    def go_on(self) -> None:
        """There may be something to send, and room for it."""
        self._again = True
        if not is_running(self._task):
            listener = self._listener
            self._task = self._tools.crew.start(
                self._run,
                f"delivering to {listener.host_id}",
                lambda: listener.end(LinkEnd.BROKEN, "what was to be sent cannot be"),
            )

    def ended(self, job_ids: Iterable[str]) -> None:
        """These jobs are over."""
        for job_id in job_ids:
            self._under_way.pop(job_id, None)
        self.go_on()

    def tick(self, now: float) -> None:
        """Give up what is waited for in vain."""
        if any(until is not None and now >= until for until in self._under_way.values()):
            self.go_on()

    def stop(self) -> None:
        """The link is over."""
        self._again = False
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def settled(self) -> None:
        """Wait until nothing is being done any more."""
        while is_running(self._task):
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        failures = 0
        try:
            while self._again and not self._listener.is_over:
                self._again = False
                try:
                    await self._go_on()
                    failures = 0
                except StorageUnavailable as exc:
                    self._again = True
                    await self._tools.retry_pause(failures, exc)
                    failures += 1
        finally:
            self._task = None

    async def _go_on(self) -> None:
        if self._previous is not None:
            await self._previous.settled()
            self._previous = None
        await self._give_up()
        if self._was_left:
            # An earlier link may have marked a job as sent, and that may become visible only now: asked
            # for in this order, it is among the one or the other, or both. What cannot be sent now
            # is asked for in this way again.
            queued = await self._queued()
            await self._take_up()
            if not await self._send_all(queued):
                return
            self._was_left = False
        if not self._may_send():
            return
        queued = await self._queued()
        await self._send_all(queued)
        # Some may have ended instead, as what they ask for is lost.
        self._again = self._again or len(queued) == MOST_UNDER_WAY

    async def _queued(self) -> Sequence[FleetJob]:
        return await self._tools.store.queued(self._listener.host_id, MOST_UNDER_WAY)

    async def _send_all(self, jobs: Iterable[FleetJob]) -> bool:
        """False where there is no room for all of them."""
        for job in jobs:
            if job.id in self._under_way:
                continue
            if not self._may_send():
                return False
            await self._send(job)
        return True

    async def _take_up(self) -> None:
        """Deal with what was sent on an earlier link, and has had no final response."""
        now = self._tools.clock.monotonic()
        for job in await self._tools.store.unfinished(self._listener.host_id):
            if job.id in self._under_way:
                continue
            if job.kind in CONVERGING:
                await self._ask_again(job)
            else:
                self._under_way[job.id] = now + OUTCOME_S

    async def _ask_again(self, job: FleetJob) -> None:
        now = seconds_now(self._tools.clock)
        is_late = job.expires_at is not None and now >= job.expires_at
        if job.kind in QUESTIONS and is_late:
            error = "the link ended before the answer came, and the answer is not wanted any more"
            await self._end(job.id, FleetJobState.EXPIRED, "expired", error)
        elif job.cancel_requested_at is None:
            await self._send(job)
        else:
            self._under_way[job.id] = self._tools.clock.monotonic() + OUTCOME_S

    async def _give_up(self) -> None:
        now = self._tools.clock.monotonic()
        late = [
            job_id
            for job_id, until in self._under_way.items()
            if until is not None and now >= until
        ]
        for job_id in late:
            error = (
                "the link ended before the agent said what came of it, and it must not be "
                "sent again; look at the host"
            )
            await self._end(job_id, FleetJobState.FAILED, OUTCOME_UNKNOWN, error)
            self._under_way.pop(job_id, None)

    def _may_send(self) -> bool:
        return (
            not self._listener.is_over
            and self._listener.link.is_writable
            and len(self._under_way) < MOST_UNDER_WAY
        )

    async def _send(self, job: FleetJob) -> None:
        payload = await self._tools.payload_of(job.id, job.payload_context)
        if payload is None or self._listener.is_over:
            return
        now = seconds_now(self._tools.clock)
        if await self._tools.store.mark_sent(job.id, now) and not self._listener.is_over:
            self._under_way[job.id] = None
            frame = CommandFrame(job.id, job.kind, payload, deadline_s=job.deadline_s)
            self._listener.link.command(frame)

    async def _end(self, job_id: str, state: FleetJobState, reason: str, error: str) -> None:
        logger.warning("job %s: %s", job_id, error)
        await self._tools.end(job_id, state, reason, error)
