"""What a damaged journal leaves of the jobs that were open."""

from __future__ import annotations

import contextlib
from typing import Final

from application.agent.job_book import JobBook
from application.ports.clock import Clock
from application.ports.compose_executor import ComposeExecutor
from domain.ledger_jobs import LedgerJob

FORGOTTEN: Final = (
    "what was known of this job, or of how far it had come, was lost when the agent's journal was "
    "damaged; what it had done stays"
)
STILL_RUNS_S: Final = 1.0
"""What has not ended by then was not over to begin with."""


async def is_forgotten(
    known: LedgerJob, book: JobBook, executor: ComposeExecutor, clock: Clock
) -> bool:
    """Whether what an open job has come to may be among what a damaged journal has lost.

    Then it is not gone on with: it may be over, or a step that is not known may be under way. Of a
    job whose last known step still runs, nothing that follows can be lost.
    """
    if known.accepted.command is None:
        return True
    if not book.damage:
        return False
    last = known.attempts[-1] if known.attempts else None
    running = None if last is None else await executor.find(last.token)
    if running is None:
        return True
    with contextlib.suppress(TimeoutError):
        async with clock.timeout(STILL_RUNS_S):
            await running.wait()
            return True
    return False
