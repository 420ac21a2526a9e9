"""The fake journal keeps the contract of the durable one, and does what it is told to."""

from __future__ import annotations

import asyncio

import pytest

from application.ports.job_journal import Compaction, JobJournal
from domain.errors import Busy, NoSpace, StorageUnavailable
from domain.records import Record
from tests.contracts.job_journal import EPOCH, JOBS, Another, Disk, JobJournalContract
from tests.fakes.clock import settle
from tests.fakes.job_journal import FakeDisk, FakeJobJournal


class ControlledFakeDisk(FakeDisk):
    def durable(self) -> list[Record]:
        return list(self.records)

    def fill(self) -> None:
        self.is_full = True

    def free(self) -> None:
        self.is_full = False

    def fail(self) -> None:
        self.fails = True

    def mend(self) -> None:
        self.fails = False

    async def held(self) -> None:
        await self.is_held.wait()

    def spoil(self, place: int) -> None:
        del self.records[place]
        self.damage = "a record is lost"


class TestFakeJobJournal(JobJournalContract):
    @pytest.fixture
    def disk(self) -> Disk:
        return ControlledFakeDisk()

    @pytest.fixture
    def another(self, disk: Disk) -> Another:
        def another() -> JobJournal:
            assert isinstance(disk, ControlledFakeDisk)
            return FakeJobJournal(disk)

        return another


async def opened(disk: FakeDisk, applied: list[Record]) -> FakeJobJournal:
    journal = FakeJobJournal(disk)
    await journal.open(applied.append)
    return journal


async def test_a_crash_forgets_what_was_not_durable_and_nobody_is_told() -> None:
    disk, applied = FakeDisk(), list[Record]()
    journal = await opened(disk, applied)
    await journal.append(EPOCH)
    disk.hold()
    appending = [asyncio.create_task(journal.append(record)) for record in JOBS]
    await disk.is_held.wait()
    assert journal.pending == len(JOBS)
    journal.crash(written=2)
    disk.release()
    late = asyncio.create_task(journal.append(JOBS[0]))
    await settle()
    assert not any(task.done() for task in [*appending, late])
    assert applied == [EPOCH]
    found: list[Record] = []
    again = await opened(disk, found)
    assert found == again.records == [EPOCH, *JOBS[:2]]
    for task in [*appending, late]:
        task.cancel()
    await asyncio.gather(*appending, late, return_exceptions=True)
    assert again.records == [EPOCH, *JOBS[:2]]


async def test_a_process_can_be_let_die_at_any_fact() -> None:
    disk, applied = FakeDisk(), list[Record]()
    journal = await opened(disk, applied)
    disk.dies_after = 2
    await journal.append(JOBS[0])
    dying = asyncio.create_task(journal.append(JOBS[1]))
    await journal.crashed.wait()
    await settle()
    assert not dying.done()
    assert applied == [JOBS[0]]
    assert journal.records == JOBS[:2]
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)


async def test_a_crash_while_it_is_compacted_leaves_the_old_one() -> None:
    disk, applied = FakeDisk(), list[Record]()
    journal = await opened(disk, applied)
    await journal.append(EPOCH)
    disk.hold()
    compacting = asyncio.create_task(journal.compact(lambda: Compaction([], [])))
    await disk.is_held.wait()
    journal.crash()
    disk.release()
    await settle()
    assert not compacting.done()
    compacting.cancel()
    await asyncio.gather(compacting, return_exceptions=True)
    assert journal.records == [EPOCH]


async def test_a_disk_that_spoils_has_written_what_it_says_it_has_not() -> None:
    disk, applied = FakeDisk(), list[Record]()
    journal = await opened(disk, applied)
    disk.spoils = True
    with pytest.raises(StorageUnavailable):
        await journal.append(EPOCH)
    assert applied == []
    assert journal.records == [EPOCH]
    with pytest.raises(StorageUnavailable):
        await journal.append(JOBS[0])
    assert journal.records == [EPOCH]


async def test_a_busy_disk_refuses_what_may_wait() -> None:
    disk = FakeDisk()
    journal = await opened(disk, [])
    disk.is_busy = True
    with pytest.raises(Busy):
        await journal.append(JOBS[0])
    await journal.append(EPOCH, from_reserve=True)
    disk.is_busy, disk.is_full = False, True
    with pytest.raises(NoSpace):
        await journal.append(JOBS[0])
    assert journal.records == [EPOCH]
