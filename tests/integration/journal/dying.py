"""A program whose journal's process is killed at every system call that changes the disk, one by one.

`python -m tests.integration.journal.dying SCENARIO DIRECTORY`: for each number there is a directory
`<number>-<how>`, a copy of `DIRECTORY/start`, in which a process did what the scenario says until it
was killed at its call of that number: before it, after it, or, where it writes, in the middle.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adapters.journal.durable_journal import DurableJobJournal
from application.ports.job_journal import Compaction
from tests.contracts.job_journal import EPOCH, JOBS, finished, tombstone

CALLS = [
    "open",
    "close",
    "pwrite",
    "posix_fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "link",
    "unlink",
    "mkdir",
]
KILLED = 9
WAYS = ["before", "after", "torn"]

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


def die_at(number: int, how: str) -> None:
    """Let this process end without a farewell at its call of that number."""
    numbers = itertools.count(1)

    def deadly(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def call_or_die(*arguments: Any, **options: Any) -> Any:
            if next(numbers) != number:
                return call(*arguments, **options)
            if how == "torn" and name == "pwrite":
                fd, data, position = arguments
                call(fd, data[: len(data) // 2], position)
            elif how == "after":
                call(*arguments, **options)
            os._exit(KILLED)

        return call_or_die

    for name in CALLS:
        setattr(os, name, deadly(name, getattr(os, name)))


async def live(scenario: str, directory: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        journal = DurableJobJournal(directory, executor)
        await journal.open(lambda _record: None)
        await SCENARIOS[scenario](journal)
        await journal.close()


def kill_at_every_call(scenario: str, root: Path) -> None:
    for how in WAYS:
        for number in itertools.count(1):
            directory = root / f"{number}-{how}"
            if (root / "start").exists():
                shutil.copytree(root / "start", directory)
            child = os.fork()
            if child == 0:
                try:
                    die_at(number, how)
                    asyncio.run(live(scenario, directory))
                    os._exit(0)
                finally:
                    os._exit(1)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code == 0:
                break
            assert code == KILLED, f"{directory.name} ended with {code}"


if __name__ == "__main__":
    kill_at_every_call(sys.argv[1], Path(sys.argv[2]))
