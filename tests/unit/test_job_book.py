"""The ledger is what the journal's facts amount to, whatever becomes of the disk."""

from __future__ import annotations

import asyncio

import pytest

from application.agent import job_book
from application.agent.job_book import FULL_DISK_RETRY_S, JobBook, JournalFailed
from domain.errors import Busy, NoSpace, StorageUnavailable
from domain.job import JobState
from domain.pruning import KEPT_S, PRUNED
from domain.records import (
    CancelRequested,
    EpochBegun,
    JobFinished,
    PeerMet,
    Record,
    ResultsDelivered,
    Tombstone,
)
from tests.fakes.clock import settle
from tests.fakes.job_journal import FakeJobJournal
from tests.fakes.machine import FakeMachine
from tests.unit.histories import accepted, content, finished


class CrampedJournal(FakeJobJournal):
    """One whose reserve is used up, so many times."""

    refusals = 0
    takes_short_logs = False

    async def append(self, record: Record, *, from_reserve: bool = False) -> None:
        is_short = isinstance(record, JobFinished) and len(record.logs) < 100
        if self.refusals and not (self.takes_short_logs and is_short):
            self.refusals -= 1
            raise NoSpace("no space left on the disk that holds the journal")
        await super().append(record, from_reserve=from_reserve)


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


async def opened(machine: FakeMachine) -> JobBook:
    book = machine.book()
    await book.open()
    return book


async def opened_with(
    machine: FakeMachine, *, compact_at_bytes: int
) -> tuple[JobBook, FakeJobJournal]:
    """One that is compacted when its journal is so large."""
    journal = FakeJobJournal(machine.disk)
    book = JobBook(
        journal=journal,
        clock=machine.clock,
        new_epoch=machine.token,
        compact_at_bytes=compact_at_bytes,
    )
    await book.open()
    return book, journal


async def cramped(machine: FakeMachine) -> tuple[JobBook, CrampedJournal]:
    journal = CrampedJournal(machine.disk)
    book = JobBook(journal=journal, clock=machine.clock, new_epoch=machine.token)
    await book.open()
    return book, journal


# Opening.


async def test_a_new_journal_begins_an_epoch_and_one_that_is_opened_again_goes_on_with_it(
    machine: FakeMachine,
) -> None:
    first = await opened(machine)
    assert first.ledger.epoch
    again = await opened(machine)
    assert again.ledger.epoch == first.ledger.epoch
    assert machine.disk.records == [EpochBegun(first.ledger.epoch)]


async def test_a_book_that_is_opened_again_knows_what_the_first_one_knew(
    machine: FakeMachine,
) -> None:
    first = await opened(machine)
    for record in (PeerMet("peer"), accepted("j1", seq=1), CancelRequested("j1", 2)):
        await first.record(record)
    assert content((await opened(machine)).ledger) == content(first.ledger)


async def test_a_journal_that_lost_something_begins_another_epoch_and_says_so_once(
    machine: FakeMachine, caplog: pytest.LogCaptureFixture
) -> None:
    first = await opened(machine)
    await first.record(PeerMet("peer"))
    await first.record(accepted("j1", seq=1))
    machine.disk.damage = "2 records could not be read"
    damaged = await opened(machine)
    assert damaged.damage == "2 records could not be read"
    assert "the journal was damaged: 2 records could not be read" in caplog.text
    assert damaged.ledger.epoch != first.ledger.epoch
    assert (damaged.ledger.peer_epoch, damaged.ledger.heard) == ("", 0)
    assert "j1" in damaged.ledger.jobs
    again = await opened(machine)
    assert (again.damage, again.ledger.epoch) == ("", damaged.ledger.epoch)


async def test_a_journal_that_cannot_be_opened_is_said(machine: FakeMachine) -> None:
    machine.disk.fails = True
    with pytest.raises(StorageUnavailable):
        await machine.book().open()


# Recording.


async def test_a_fact_is_in_the_ledger_once_it_is_durable_and_not_before(
    machine: FakeMachine,
) -> None:
    book = await opened(machine)
    machine.disk.hold()
    recording = asyncio.create_task(book.record(accepted("j1")))
    await settle()
    assert (recording.done(), book.ledger.jobs) == (False, {})
    machine.disk.release()
    await recording
    assert list(book.ledger.jobs) == ["j1"]


async def test_who_listens_is_told_after_each_fact_until_it_listens_no_more(
    machine: FakeMachine,
) -> None:
    book = await opened(machine)
    seen: list[list[str]] = []
    stop_listening = book.listen(lambda: seen.append(list(book.ledger.jobs)))
    await book.record(accepted("j1"))
    await book.record(accepted("j2"))
    stop_listening()
    await book.record(accepted("j3"))
    assert seen == [["j1"], ["j1", "j2"]]


async def test_who_stops_listening_when_it_is_told_keeps_nobody_else_from_being_told(
    machine: FakeMachine,
) -> None:
    book = await opened(machine)
    told: list[str] = []

    def once() -> None:
        told.append("once")
        stop()

    stop = book.listen(once)
    book.listen(lambda: told.append("always"))
    await book.record(accepted("j1"))
    await book.record(accepted("j2"))
    assert told == ["once", "always", "always"]


@pytest.mark.parametrize(("trouble", "error"), [("is_full", NoSpace), ("is_busy", Busy)])
async def test_what_may_be_refused_is_refused_and_what_must_be_recorded_is_recorded(
    machine: FakeMachine, trouble: str, error: type[Exception]
) -> None:
    book = await opened(machine)
    setattr(machine.disk, trouble, True)
    with pytest.raises(error):
        await book.record(accepted("j1"))
    assert book.ledger.jobs == {}
    await book.record(CancelRequested("j1", 1), must=True)
    assert book.ledger.heard == 1


async def test_what_must_be_recorded_waits_for_room_where_the_reserve_is_used_up_too(
    machine: FakeMachine, caplog: pytest.LogCaptureFixture
) -> None:
    book, journal = await cramped(machine)
    journal.refusals = 3
    recording = asyncio.create_task(book.record(CancelRequested("j1", 1), must=True))
    await machine.clock.advance(2.9 * FULL_DISK_RETRY_S)
    assert not recording.done()
    await machine.clock.advance(FULL_DISK_RETRY_S)
    await recording
    assert book.ledger.heard == 1
    assert caplog.text.count("no space left") == 3


async def test_a_result_goes_without_its_output_rather_than_wait_for_room(
    machine: FakeMachine,
) -> None:
    book, journal = await cramped(machine)
    await book.record(accepted("j1"))
    journal.refusals, journal.takes_short_logs = 100, True
    await book.record(finished("j1", JobState.FAILED, logs="x" * 1000), must=True)
    result = book.ledger.jobs["j1"].finished
    assert result is not None
    assert (result.state, result.error, result.logs) == (JobState.FAILED, "no", PRUNED)
    assert machine.clock.slept == []


async def test_a_disk_that_fails_is_the_end_of_the_book(machine: FakeMachine) -> None:
    book = await opened(machine)
    machine.disk.fails = True
    for _ in range(2):
        with pytest.raises(JournalFailed):
            await book.record(accepted("j1"), must=True)
        machine.disk.fails = False
    assert book.ledger.jobs == {}


async def test_a_record_that_is_cancelled_may_be_there_all_the_same(machine: FakeMachine) -> None:
    book = await opened(machine)
    machine.disk.hold()
    recording = asyncio.create_task(book.record(accepted("j1")))
    await settle()
    recording.cancel()
    machine.disk.release()
    with pytest.raises(asyncio.CancelledError):
        await recording
    assert list(book.ledger.jobs) == ["j1"]
    assert content((await opened(machine)).ledger) == content(book.ledger)


# Compacting.


async def deliver_jobs(book: JobBook, count: int) -> None:
    """So many jobs that have ended, and whose results the peer has."""
    for number in range(count):
        await book.record(accepted(f"j{number}"))
        await book.record(finished(f"j{number}", logs="x" * 100), must=True)
    await book.record(ResultsDelivered(tuple(f"j{number}" for number in range(count))), must=True)


async def test_it_is_compacted_when_it_has_grown_and_amounts_to_the_same(
    machine: FakeMachine,
) -> None:
    book, _ = await opened_with(machine, compact_at_bytes=5000)
    keeping = asyncio.create_task(book.keep_small())
    await deliver_jobs(book, 3)
    await settle()
    before = len(machine.disk.records)
    assert before == 8
    for number in range(100):
        await book.record(CancelRequested("j0", number + 1))
    await settle()
    assert len(machine.disk.records) < 60
    assert content((await opened(machine)).ledger) == content(book.ledger)
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_it_is_compacted_again_only_when_it_has_doubled(
    machine: FakeMachine,
) -> None:
    book, journal = await opened_with(machine, compact_at_bytes=1000)
    keeping = asyncio.create_task(book.keep_small())
    for number in range(200):  # Nothing of this can be dropped.
        await book.record(accepted(f"j{number}"))
    await settle()
    assert 5 <= journal.compactions <= 8
    assert len(book.ledger.jobs) == 200
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_results_that_wait_do_not_have_it_compacted_at_every_fact(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_book, "KEPT_RESULTS", 10)
    journal = FakeJobJournal(machine.disk)
    book = JobBook(journal=journal, clock=machine.clock, new_epoch=machine.token)
    await book.open()
    keeping = asyncio.create_task(book.keep_small())
    for number in range(100):
        await book.record(accepted(f"j{number}"))
        await book.record(finished(f"j{number}"), must=True)
        await settle(5)
    assert 1 <= journal.compactions <= 5
    assert len(book.ledger.finish_order) == 100
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_a_journal_that_is_large_when_it_is_opened_is_compacted_then(
    machine: FakeMachine,
) -> None:
    book = await opened(machine)
    for number in range(50):
        await book.record(CancelRequested("j0", number + 1))
    again, _ = await opened_with(machine, compact_at_bytes=1000)
    keeping = asyncio.create_task(again.keep_small())
    await settle()
    assert len(machine.disk.records) == 2
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_what_is_forgotten_is_a_tombstone_in_the_same_moment(machine: FakeMachine) -> None:
    book = await opened(machine)
    await deliver_jobs(book, 2)
    await machine.clock.advance(KEPT_S + 1)
    await book.record(accepted("young"))
    await book.record(finished("young", at=machine.clock.now().timestamp()), must=True)
    await book.record(ResultsDelivered(("young",)), must=True)
    machine.disk.hold()
    compacting = asyncio.create_task(book.compact())
    await settle()
    assert (book.tombstone("j0"), "j0" in book.ledger.jobs) == (None, True)
    machine.disk.release()
    await compacting
    assert list(book.ledger.jobs) == ["young"]
    assert book.tombstone("j0") == Tombstone("j0", accepted("j0").digest, JobState.SUCCEEDED)
    assert book.tombstone("young") is None
    assert content((await opened(machine)).ledger) == content(book.ledger)


async def test_on_a_full_disk_a_compaction_changes_nothing_and_says_so(
    machine: FakeMachine, caplog: pytest.LogCaptureFixture
) -> None:
    book = await opened(machine)
    await deliver_jobs(book, 2)
    await machine.clock.advance(KEPT_S + 1)
    before = list(machine.disk.records)
    machine.disk.is_full = True
    await book.compact()
    assert machine.disk.records == before
    assert list(book.ledger.jobs) == ["j0", "j1"]
    assert "the journal stays as large as it is" in caplog.text
    machine.disk.is_full = False
    await book.compact()
    assert book.ledger.jobs == {}


async def test_a_disk_that_fails_while_it_compacts_is_the_end_of_the_book(
    machine: FakeMachine,
) -> None:
    book = await opened(machine)
    machine.disk.fails = True
    with pytest.raises(JournalFailed):
        await book.compact()


async def test_facts_that_come_while_it_compacts_come_behind_it(machine: FakeMachine) -> None:
    book = await opened(machine)
    await deliver_jobs(book, 2)
    machine.disk.hold()
    compacting = asyncio.create_task(book.compact())
    await settle()
    recording = asyncio.create_task(book.record(accepted("j9")))
    await settle()
    machine.disk.release()
    await compacting
    await recording
    assert "j9" in book.ledger.jobs
    assert content((await opened(machine)).ledger) == content(book.ledger)


async def test_an_epoch_that_is_begun_is_another_one_each_time(machine: FakeMachine) -> None:
    book = await opened(machine)
    epochs = {book.ledger.epoch}
    for _ in range(3):
        await book.begin_epoch()
        epochs.add(book.ledger.epoch)
    assert len(epochs) == 4


async def test_a_book_that_is_closed_takes_nothing_more(machine: FakeMachine) -> None:
    book = await opened(machine)
    await book.close()
    await book.close()
    with pytest.raises(JournalFailed):
        await book.record(accepted("j1"))
