"""What jobs leave behind: found again when the agent starts, cleared away when nobody needs it."""

from __future__ import annotations

import asyncio
import logging

from application.agent.job_book import JobBook
from application.agent.live_output import LiveOutput, PrintedStep
from application.ports.compose_executor import ComposeExecutor
from application.ports.private_parts import PrivateParts
from application.ports.registry_logins import RegistryLogins
from domain.errors import InstaDeployError

logger = logging.getLogger(__name__)


class Leftovers:
    """Keeps the output of a step until its job's result is delivered."""

    def __init__(
        self,
        *,
        book: JobBook,
        executor: ComposeExecutor,
        live: LiveOutput,
        private: PrivateParts,
        logins: RegistryLogins,
    ) -> None:
        self._book = book
        self._executor = executor
        self._live = live
        self._private = private
        self._logins = logins
        self._changed = asyncio.Event()
        self._secretive: set[str] = set()
        """Jobs that are open and have secrets."""
        self._wiped: set[str] = set()
        """Jobs that are over and had some."""

    async def recover(self) -> None:
        """Find the output of steps that are over, and clear away all that is nobody's."""
        needed: set[str] = set()
        for job in self._book.ledger.jobs.values():
            if job.is_delivered:
                continue
            for attempt in job.attempts:
                needed.add(attempt.token)
                if job.finished is None and not attempt.is_over:
                    continue  # Found again when the job goes on.
                if (running := await self._executor.find(attempt.token)) is not None:
                    printed = PrintedStep(attempt.step, attempt.number, attempt.token, running)
                    self._live.add(job.job_id, printed)
        for token in await self._executor.known_tokens() - needed:
            await self._discard(token)
        self._secretive = self._secretive_now()
        await self._private.wipe_all_but(self._secretive)
        await self._logins.wipe_all_but(self._secretive)

    async def run(self) -> None:
        """Clear away what results that are delivered leave; until cancelled."""
        stop_listening = self._book.listen(self._changed.set)
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self._wipe()
                await self._clear_away()
        finally:
            stop_listening()

    async def _clear_away(self) -> None:
        for job_id in self._live.jobs():
            known = self._book.ledger.jobs.get(job_id)
            if known is None or known.is_delivered:
                steps = self._live.steps(job_id)
                self._live.forget(job_id)
                for printed in steps:
                    if printed.token:
                        await self._discard(printed.token)

    async def _wipe(self) -> None:
        """Forget the secrets of jobs that are over, also of those that were over at once."""
        now = self._secretive_now()
        over = {
            job.job_id
            for job in self._book.ledger.jobs.values()
            if job.finished is not None and job.accepted.is_private
        }
        for job_id in (self._secretive - now) | (over - self._wiped):
            try:
                await self._private.wipe(job_id)
                await self._logins.wipe(job_id)
            except InstaDeployError as exc:
                logger.error("job %s: its secrets cannot be wiped: %s", job_id, exc)
        self._secretive, self._wiped = now, over

    def _secretive_now(self) -> set[str]:
        return {job.job_id for job in self._book.ledger.open_jobs() if job.accepted.is_private}

    async def _discard(self, token: str) -> None:
        try:
            await self._executor.discard(token)
        except InstaDeployError as exc:
            logger.warning("what a step has printed cannot be removed: %s", exc)
