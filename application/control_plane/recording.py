"""Writes down what one host says, in order, and only then lets it be acknowledged.

While one batch is being written, the next is collected: many small messages share one commit. What
waits is bounded: past that the agent is not listened to, and TCP tells it to wait.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Final, Protocol

from application.control_plane.link_tools import LinkTools, LiveLink, is_running
from application.control_plane.times import seconds_now
from domain.errors import NotFound, StorageUnavailable
from domain.fleet.allowance import Allowance
from domain.fleet.host_effects import LinkEnd
from domain.fleet.link_state import Heard, Recorded
from domain.link_messages import Accept, OutputChunk, SequencedSaid

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 512
MOST_WAITING_BYTES: Final = 1024 * 1024
BURST_BYTES: Final = 16 * 1024 * 1024
BYTES_PER_S: Final = 2 * 1024 * 1024
ROW_BYTES: Final = 512
"""What a host may have written down at once, and in the long run; a short message counts as this much.

Past that it is heard more slowly, so that the others are heard too.
"""


class Speaker(LiveLink, Protocol):
    """Whose words are written down; what is not by the end of the link is said again on the next one."""

    def recorded(self, recorded: Recorded) -> None:
        """Something is durable."""
        ...


class Recording:
    """Of one link. What is empty is not there, as most links say nothing most of the time."""

    __slots__ = (
        "_bytes",
        "_confirmed",
        "_noted",
        "_pace",
        "_speaker",
        "_task",
        "_tools",
        "_waiting",
    )

    def __init__(self, tools: LinkTools, speaker: Speaker, confirmed: int = 0) -> None:
        self._tools = tools
        self._speaker = speaker
        self._waiting: list[SequencedSaid | OutputChunk] | None = None
        self._bytes = 0
        self._confirmed: int | None = None
        self._noted = confirmed
        self._pace: Allowance | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def has_waiting(self) -> bool:
        """Whether something has been said that is not on its way into the database yet."""
        return self._waiting is not None

    def take(self, message: SequencedSaid | OutputChunk, size: int) -> None:
        """Write this down, behind all before."""
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(message)
        self._bytes += size
        self._tools.held.total += size
        if (
            len(self._waiting) >= MOST_WAITING
            or self._bytes >= MOST_WAITING_BYTES
            or self._tools.held.is_too_much
        ):
            self._speaker.link.pause_hearing()
        self._begin()

    def confirm(self, seq: int) -> None:
        """Write down that the agent has our messages up to this number, where that is news."""
        if seq > self._noted:
            self._noted = self._confirmed = seq
            self._begin()

    async def settled(self) -> None:
        """Wait until nothing is being written any more; of a link that is over."""
        while is_running(self._task):
            await asyncio.wait([self._task])

    def _begin(self) -> None:
        if not is_running(self._task):
            speaker = self._speaker
            self._task = self._tools.crew.start(
                self._run,
                f"recording {speaker.host_id}",
                lambda: speaker.end(LinkEnd.BROKEN, "what was said cannot be written down"),
            )

    async def _run(self) -> None:
        try:
            while self._waiting is not None or self._confirmed is not None:
                if not await self._write_some():
                    return
        finally:
            self._task = None
            self._drop_waiting()

    async def _write_some(self) -> bool:
        messages, size, confirmed = self._waiting or [], self._bytes, self._confirmed
        self._waiting, self._bytes, self._confirmed = None, 0, None
        try:
            recorded = await self._written(tuple(messages), confirmed)
        finally:
            self._tools.held.total -= size
        if recorded is None:
            return False
        self._tell(messages, recorded)
        if self._speaker.is_over:
            return False
        last = max((each.seq for each in messages if not isinstance(each, OutputChunk)), default=0)
        if recorded.link.heard < last:
            logger.error(
                "host %s: messages up to %d were to be written down, and %d are",
                self._speaker.host_id,
                last,
                recorded.link.heard,
            )
            self._speaker.end(LinkEnd.BROKEN, "what was said does not follow what was said before")
            return False
        self._speaker.recorded(recorded)
        await self._keep_pace(size + ROW_BYTES * len(messages))
        self._speaker.link.resume_hearing()
        return not self._speaker.is_over

    async def _keep_pace(self, weight: int) -> None:
        if weight:
            now = self._tools.clock.monotonic()
            if self._pace is None:
                self._pace = Allowance(BURST_BYTES, BYTES_PER_S, now)
            if self._pace.take(weight, now):
                return
            self._speaker.link.pause_hearing()
            await self._tools.clock.sleep(self._pace.wait_s(weight, now))
            self._pace.take(weight, self._tools.clock.monotonic())

    async def _written(
        self, messages: tuple[SequencedSaid | OutputChunk, ...], confirmed: int | None
    ) -> Recorded | None:
        """None where the link is over before it could be done."""
        at = seconds_now(self._tools.clock)
        heard = Heard(self._speaker.host_id, at, messages, confirmed=confirmed)
        for attempt in itertools.count():
            if attempt and self._speaker.is_over:
                break
            try:
                return await self._tools.store.record(heard)
            except NotFound:
                self._speaker.end(LinkEnd.REVOKED, "there is no such host")
                break
            except StorageUnavailable as exc:
                if not self._speaker.is_over:
                    await self._tools.retry_pause(attempt, exc)
        return None

    def _tell(self, messages: list[SequencedSaid | OutputChunk], recorded: Recorded) -> None:
        for message in messages:
            if isinstance(message, Accept):
                self._tools.arrived(message.job_id)
        if recorded.changed:
            self._tools.tell(recorded.changed)

    def _drop_waiting(self) -> None:
        self._tools.held.total -= self._bytes
        self._waiting, self._bytes = None, 0
