"""How long an agent that starts again takes to know what it knew."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from adapters.clock.system import SystemClock
from adapters.journal.durable_journal import DurableJobJournal
from application.agent.job_book import JobBook
from benchmarks.figures import Figure, Unit, at_most
from benchmarks.sample import Sample
from benchmarks.stage import Stage
from domain.commands import DeployCompose, digest_of
from domain.job import JobState
from domain.project import ComposeFile, ProjectName
from domain.records import (
    JobAccepted,
    JobFinished,
    Moment,
    ProcessIdentity,
    Record,
    StepExit,
    StepExited,
    StepStarted,
    StepStarting,
)

RECORDS: Final = 10_000
TIMES: Final = 10
NEVER_COMPACTED: Final = 1 << 40
COMPOSE: Final = ComposeFile(b"services:\n  web:\n    image: registry.example.com/web:1.0\n" * 8)
LOGS: Final = " Container blog-web-1  Started\n" * 8


async def measure_recovery(stage: Stage) -> Sequence[Figure]:
    """A journal of deployments of which nothing was delivered, opened again and again."""
    directory = Path(tempfile.mkdtemp(prefix="journal-", dir=stage.home))
    seconds = []
    with ThreadPoolExecutor(max_workers=1) as threads:
        book = _book(directory, threads)
        await book.open()
        writing = [book.record(record) for record in itertools.islice(_records(), RECORDS)]
        await asyncio.gather(*writing)
        await book.close()
        for _ in range(TIMES):
            book = _book(directory, threads)
            begun = time.perf_counter()
            await book.open()
            seconds.append(time.perf_counter() - begun)
            assert len(book.ledger.jobs) == RECORDS // 5, len(book.ledger.jobs)
            await book.close()
    note = f"{RECORDS // 5:,} deployments of one step; read, checked, and in the ledger"
    return [
        Figure(
            f"a journal of {RECORDS:,} records",
            Sample(tuple(seconds)),
            Unit.SECONDS,
            at_most(1),
            note,
        )
    ]


def _book(directory: Path, threads: ThreadPoolExecutor) -> JobBook:
    return JobBook(
        journal=DurableJobJournal(directory, threads),
        clock=SystemClock(),
        new_epoch=lambda: "epoch",
        compact_at_bytes=NEVER_COMPACTED,
    )


def _records() -> Iterator[Record]:
    command = DeployCompose(ProjectName("blog"), COMPOSE)
    digest, process = digest_of(command), ProcessIdentity(4711, 123456, "boot")
    for number in itertools.count(1):
        job_id, token = f"job-{number}", f"{number:032x}"
        yield JobAccepted(job_id, command, digest, Moment("boot", 1.0), number, number)
        yield StepStarting(job_id, "apply", 1, token, "boot")
        yield StepStarted(job_id, "apply", 1, process)
        yield StepExited(job_id, "apply", 1, StepExit(0, len(LOGS), "0" * 64, len(LOGS)))
        yield JobFinished(job_id, JobState.SUCCEEDED, LOGS, "", {"revision": number}, 1.0)
