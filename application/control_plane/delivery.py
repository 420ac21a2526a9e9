"""Sends commands and cancels to one agent that speaks v2: in order, as the database has numbered them.

It works while there is something to send and room for it, and is no task otherwise. Jobs get their
numbers a few at a time, right before they are sent: what has none can still be superseded, canceled
for nothing, and expire. Payloads are read one at a time; what the agent has not acknowledged is read
again after a reconnect, and is not wanted any more where its time has passed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from application.control_plane.link_tools import LinkTools, LiveLink, is_running
from application.control_plane.times import seconds_now
from application.ports.agent_link import CommandFrame
from domain.errors import StorageUnavailable
from domain.fleet.changes import EXPIRED
from domain.fleet.host_effects import LinkEnd
from domain.fleet.host_session import HostSession
from domain.fleet.job import FleetJobState
from domain.fleet.link_state import Outgoing, OutgoingKind
from domain.link_messages import CancelMessage

logger = logging.getLogger(__name__)

PAGE: Final = 64
HEAVY_BYTES: Final = 64 * 1024
"""Lighter commands are never held back for the sake of what others are sent."""
TURN_S: Final = 0.25
ENVELOPE_BYTES: Final = 512
NO_JOB: Final = "no-job"
"""Cancelling it is what is said under the number of a command that is not wanted any more, as a number
cannot be left out. Jobs have other ids."""


class Listener(LiveLink, Protocol):
    """To whom it is said."""

    @property
    def session(self) -> HostSession:
        """What has been said so far."""
        ...


class Delivery:
    """Of one link. `is_resumed` says that its agent goes on in the numbers of the link before."""

    __slots__ = ("_again", "_has_news", "_heavy", "_is_resumed", "_listener", "_task", "_tools")

    def __init__(self, tools: LinkTools, listener: Listener, *, is_resumed: bool) -> None:
        self._tools = tools
        self._listener = listener
        self._is_resumed = is_resumed
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._has_news = False
        self._heavy = 0

    def wake(self) -> None:
        """There may be jobs in the database that have no number yet."""
        self._has_news = True
        self.go_on()

    def go_on(self) -> None:
        """There may be something to send, and room for it."""
        self._again = True
        if self._listener.link.is_writable:
            self._let_go()
        if not is_running(self._task):
            listener = self._listener
            self._task = self._tools.crew.start(
                self._run,
                f"delivering to {listener.host_id}",
                lambda: listener.end(LinkEnd.BROKEN, "what was to be sent cannot be"),
            )

    def stop(self) -> None:
        """The link is over."""
        self._again = False
        self._let_go()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        failures = 0
        try:
            while self._again:
                self._again = False
                try:
                    await self._send_some()
                    failures = 0
                except StorageUnavailable as exc:
                    self._again = True
                    await self._tools.retry_pause(failures, exc)
                    failures += 1
        finally:
            self._task = None

    async def _send_some(self) -> None:
        if not self._may_send():
            return
        session = self._listener.session
        after = session.sent
        page = await self._tools.store.outgoing(self._listener.host_id, after, PAGE)
        if self._has_gap(page, after):
            return
        if len(page) < PAGE and self._has_news and self._may_send():
            page = [*page, *await self._numbered(PAGE - len(page))]
        for outgoing in page:
            if not await self._send(outgoing):
                return
        self._again = self._again or len(page) >= PAGE or self._has_news

    async def _numbered(self, limit: int) -> Sequence[Outgoing]:
        """Jobs that have got their numbers now."""
        self._has_news = False
        try:
            clock, host_id = self._tools.clock, self._listener.host_id
            numbered = await self._tools.store.number(host_id, seconds_now(clock), limit)
        except StorageUnavailable:
            self._has_news = True
            raise
        self._has_news = self._has_news or not numbered.is_all
        return numbered.said

    def _may_send(self) -> bool:
        listener = self._listener
        return not listener.is_over and listener.link.is_writable and listener.session.has_room()

    def _has_gap(self, page: Sequence[Outgoing], after: int) -> bool:
        if not page or page[0].seq == after + 1 or self._listener.session.sent != after:
            return False
        logger.error(
            "host %s: message %d does not follow message %d",
            self._listener.host_id,
            page[0].seq,
            after,
        )
        self._listener.end(LinkEnd.BROKEN, "a message is missing")
        return True

    async def _send(self, outgoing: Outgoing) -> bool:
        """Whether what comes behind it may be sent too."""
        session = self._listener.session
        if outgoing.seq <= session.sent:
            return True  # It arrived on an earlier link, as its acknowledgement says that came just now.
        if not self._may_send():
            return False
        payload = await self._payload_of(outgoing)
        if not self._may_send():
            return False
        if outgoing.seq != session.sent + 1:
            self._again = True  # Something before it is to be sent again.
            return False
        size = ENVELOPE_BYTES + len(payload or b"")
        if not session.has_room(size):
            return False
        if size >= HEAVY_BYTES and self._tools.sending.is_too_much:
            self._again = True
            await self._tools.clock.sleep(TURN_S)
            return False
        self._say(self._message(outgoing, payload), size)
        session.note_sent(outgoing.seq, size, self._tools.clock.monotonic())
        return True

    def _say(self, message: CommandFrame | CancelMessage, size: int) -> None:
        link = self._listener.link
        if isinstance(message, CancelMessage):
            link.say(message)
        else:
            link.command(message)
        if not link.is_writable:
            self._heavy += size
            self._tools.sending.total += size

    def _let_go(self) -> None:
        self._tools.sending.total -= self._heavy
        self._heavy = 0

    async def _payload_of(self, outgoing: Outgoing) -> bytes | None:
        """Of a command that is wanted still; None for whatever else has this number."""
        if outgoing.kind is OutgoingKind.CANCEL or not outgoing.is_wanted:
            return None
        # This agent has said that it has nothing from this number on.
        is_late = outgoing.expires_at is not None and (
            seconds_now(self._tools.clock) >= outgoing.expires_at
        )
        if is_late and self._is_resumed:
            await self._tools.end(outgoing.job_id, FleetJobState.EXPIRED, "expired", EXPIRED)
            return None
        return await self._tools.payload_of(outgoing.job_id, outgoing.payload_context)

    def _message(self, outgoing: Outgoing, payload: bytes | None) -> CommandFrame | CancelMessage:
        ack = self._listener.session.ack()
        if outgoing.kind is OutgoingKind.CANCEL:
            return CancelMessage(outgoing.seq, outgoing.job_id, ack)
        if payload is None:
            return CancelMessage(outgoing.seq, NO_JOB, ack)
        return CommandFrame(
            outgoing.job_id,
            outgoing.command,
            payload,
            outgoing.seq,
            outgoing.generation,
            outgoing.deadline_s,
            ack,
        )
