"""What a journal's process is at when it is killed.

`python -m tests.integration.journal.dying SCENARIO DIRECTORY`
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from adapters.journal.durable_journal import DurableJobJournal
from application.ports.job_journal import Compaction
from tests.contracts.job_journal import EPOCH, JOBS, finished, tombstone
from tests.support.dying import AFTER, BEFORE, TORN, kill_at_every_call

CALLS = [
    *("open", "close", "pwrite", "posix_fallocate", "fsync", "fdatasync", "rename", "link"),
    *("unlink", "mkdir"),
]
WAYS = [BEFORE, AFTER, TORN]

APPENDED = [finished(1, "x" * 3000), finished(2), finished(3)]
COMPACTED = Compaction([EPOCH, *JOBS[3:]], [tombstone(0), tombstone(1), tombstone(2)])


async def start(_journal: DurableJobJournal) -> None:
    """To open it is all."""


async def append(journal: DurableJobJournal) -> None:
    for record in APPENDED:
        await journal.append(record)


async def compact(journal: DurableJobJournal) -> None:
    await journal.compact(lambda: COMPACTED)


SCENARIOS = {scenario.__name__: scenario for scenario in (start, append, compact)}


async def live(scenario: str, directory: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        journal = DurableJobJournal(directory, executor)
        await journal.open(lambda _record: None)
        await SCENARIOS[scenario](journal)
        await journal.close()


def live_until_killed(scenario: str, directory: Path) -> None:
    asyncio.run(live(scenario, directory))


if __name__ == "__main__":
    doing = partial(live_until_killed, sys.argv[1])
    kill_at_every_call(doing, Path(sys.argv[2]), calls=CALLS, ways=WAYS)
