"""Brings what jobs print to the link, while they print it."""

from __future__ import annotations

import asyncio
import codecs
import logging
from collections.abc import Callable, Sequence
from typing import Final

from application.agent.live_output import LiveOutput, PrintedStep
from application.ports.clock import Clock
from domain.errors import InstaDeployError
from domain.ledger import Ledger
from domain.link_messages import OutputChunk, OutputPosition
from domain.session import Phase, Session

logger = logging.getLogger(__name__)

CHUNK_BYTES: Final = 64 * 1024
LOOK_EVERY_S: Final = 0.2
"""How often it is looked whether a running job has printed something."""


class OutputPump:
    """Reads for one link. A result waits until what its job printed was sent before it."""

    def __init__(self, live: LiveOutput, ledger: Ledger, session: Session, clock: Clock) -> None:
        self._live = live
        self._ledger = ledger
        self._session = session
        self._clock = clock
        self._sent: set[tuple[str, str, int]] = set()
        self._jobs: set[str] = set()
        self._resumed = asyncio.Event()
        session.is_printed = self.is_all_sent

    def resume(self) -> None:
        """Something was sent: there may be room for more."""
        self._resumed.set()

    def is_all_sent(self, job_id: str) -> bool:
        """Whether everything that a job has printed was sent on this link, or is not to be had."""
        return all(
            (job_id, step.step, step.attempt) in self._sent for step in self._live.steps(job_id)
        )

    async def run(self, wake: Callable[[], None]) -> None:
        """Offer output to the session, and `wake` whoever sends it; until cancelled."""
        while True:
            if not self._live.jobs():
                await self._live.added()
            self._resumed.clear()
            has_more = False
            if self._session.phase is Phase.OPEN:
                for job_id in self._begin_round():
                    has_more = await self._pump(job_id) or has_more
            wake()
            if has_more:
                await self._resumed.wait()
            else:
                await self._clock.sleep(LOOK_EVERY_S)

    def _begin_round(self) -> Sequence[str]:
        """The jobs of which there is output. How much was sent of others is forgotten."""
        jobs = self._live.jobs()
        for job_id in self._jobs.difference(jobs):
            self._session.output.forget(job_id)
        self._jobs = set(jobs)
        return jobs

    async def _pump(self, job_id: str) -> bool:
        """Offer the next piece of a job's output; returns whether one was offered."""
        for printed in self._live.steps(job_id):
            if (job_id, printed.step, printed.attempt) in self._sent:
                continue
            return await self._pump_step(job_id, printed)
        return False

    async def _pump_step(self, job_id: str, printed: PrintedStep) -> bool:
        job = self._ledger.jobs.get(job_id)
        # A job that a damaged journal has ended may have an attempt of which no exit is written.
        is_over = (
            job is None
            or job.finished is not None
            or printed.is_spoken_to_its_end
            or any(
                attempt.is_over
                for attempt in job.attempts_at(printed.step)
                if attempt.number == printed.attempt
            )
        )
        offset, room = self._session.output.wanted(
            job_id, printed.step, printed.attempt, is_over=is_over
        )
        if room == 0:
            return False
        try:
            found_at, chunk = await printed.running.output(offset, min(room, CHUNK_BYTES))
        except InstaDeployError as exc:
            logger.warning(
                "job %s: what %s has printed cannot be read: %s", job_id, printed.step, exc
            )
            self._sent.add((job_id, printed.step, printed.attempt))
            return False
        if not is_over or len(chunk) == CHUNK_BYTES:
            chunk = whole_characters(chunk)
        if not chunk:
            if is_over:
                self._sent.add((job_id, printed.step, printed.attempt))
            return False
        printed.read_upto = max(printed.read_upto, found_at + len(chunk))
        self._session.output.offer(
            OutputChunk(job_id, OutputPosition(printed.step, printed.attempt, found_at), chunk)
        )
        return True


def whole_characters(chunk: bytes) -> bytes:
    """The chunk without a UTF-8 character that it ends in the middle of, unless that is all of it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(chunk)
    begun, _ = decoder.getstate()
    return chunk[: len(chunk) - len(begun)] or chunk
