"""Journals on a real disk that can be filled, broken, held up and spoilt."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.journal import framing, records
from adapters.journal.durable_journal import DurableJobJournal
from domain.records import Record
from tests.integration.project_files.disk import failing_with


class RealDisk:
    """See the contract's `Disk`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._full = pytest.MonkeyPatch()
        self._failing = pytest.MonkeyPatch()
        self._slow = pytest.MonkeyPatch()
        self._is_held = threading.Event()
        self._is_free = threading.Event()

    def durable(self) -> list[Record]:
        payloads = framing.scan((self.directory / "journal").read_bytes()).payloads
        facts = [records.decode(payload) for payload in payloads]
        return [fact for fact in facts if not isinstance(fact, records.DamageNoted)]

    def fill(self) -> None:
        self._full.setattr(os, "posix_fallocate", failing_with(errno.ENOSPC))

    def free(self) -> None:
        self._full.undo()

    def fail(self) -> None:
        self._failing.setattr(os, "fdatasync", failing_with(errno.EIO))

    def mend(self) -> None:
        self._failing.undo()

    def hold(self) -> None:
        sync = os.fdatasync

        def hang(fd: int) -> None:
            self._is_held.set()
            assert self._is_free.wait(60)
            sync(fd)

        self._slow.setattr(os, "fdatasync", hang)

    def release(self) -> None:
        self._is_free.set()
        self._slow.undo()

    async def held(self) -> None:
        assert await asyncio.get_running_loop().run_in_executor(None, self._is_held.wait, 60)

    def spoil(self, place: int) -> None:
        path = self.directory / "journal"
        data = bytearray(path.read_bytes())
        data[data.index(records.encode(self.durable()[place])) + 3] ^= 1
        path.write_bytes(data)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def real_disk(state: Path) -> Iterator[RealDisk]:
    disk = RealDisk(state)
    yield disk
    disk.free()
    disk.mend()
    disk.release()


@pytest.fixture
async def on_disk(
    state: Path, executor: Executor, real_disk: RealDisk
) -> AsyncIterator[Callable[..., DurableJobJournal]]:
    """Makes journals in the state directory, or in the one that it is given."""
    made: list[DurableJobJournal] = []

    def make(directory: Path = state) -> DurableJobJournal:
        made.append(DurableJobJournal(directory, executor))
        return made[-1]

    yield make
    real_disk.release()
    for journal in made:
        await journal.close()
