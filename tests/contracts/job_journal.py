"""What every `JobJournal` must do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

import pytest

from application.ports.job_journal import Compaction, JobJournal
from domain.commands import StopCompose, digest_of
from domain.errors import NoSpace, StorageUnavailable
from domain.job import JobState, is_terminal
from domain.project import ProjectName
from domain.records import EpochBegun, JobAccepted, JobFinished, Moment, Record, Tombstone

Another = Callable[[], JobJournal]

BLOG = StopCompose(ProjectName("blog"))
EPOCH = EpochBegun("epoch-1")


def accepted(number: int) -> JobAccepted:
    return JobAccepted(f"job-{number}", BLOG, digest_of(BLOG), Moment("boot", float(number)))


def finished(number: int, logs: str = "") -> JobFinished:
    return JobFinished(f"job-{number}", JobState.SUCCEEDED, logs, "", {}, 1e9 + number)


def tombstone(number: int, state: JobState = JobState.SUCCEEDED) -> Tombstone:
    return Tombstone(f"job-{number}", digest_of(BLOG), state)


JOBS: list[Record] = [accepted(number) for number in range(5)]


class Disk(Protocol):
    """What a test does to the disk that the journals are on."""

    def durable(self) -> list[Record]:
        """What a journal would find if the process died at this moment."""
        ...

    def fill(self) -> None:
        """No more space can be had, until `free`."""
        ...

    def free(self) -> None: ...

    def fail(self) -> None:
        """Every write fails, until `mend`."""
        ...

    def mend(self) -> None: ...

    def hold(self) -> None:
        """Every append takes until `release`."""
        ...

    def release(self) -> None: ...

    async def held(self) -> None:
        """Wait until an append is held."""
        ...

    def spoil(self, place: int) -> None:
        """Have the fact at that place, which is not the last one, be damaged."""
        ...


class JobJournalContract:
    """Give the `disk`, and `another` journal on it with each call; one of them is open at a time."""

    @pytest.fixture
    def disk(self) -> Disk:
        raise NotImplementedError

    @pytest.fixture
    def another(self) -> Another:
        raise NotImplementedError

    @pytest.fixture
    def applied(self) -> list[Record]:
        return []

    @pytest.fixture
    async def journal(self, another: Another, applied: list[Record]) -> JobJournal:
        journal = another()
        await journal.open(applied.append)
        return journal

    async def test_a_new_journal_is_empty_and_undamaged(
        self, journal: JobJournal, applied: list[Record]
    ) -> None:
        assert (applied, journal.damage) == ([], "")
        assert journal.tombstone("job-0") is None

    async def test_what_was_appended_is_applied_in_order_and_found_again_in_it(
        self, journal: JobJournal, another: Another, applied: list[Record]
    ) -> None:
        for record in JOBS:
            await journal.append(record, from_reserve=record is JOBS[3])
            assert applied[-1] is record
        found, again = await reopened(journal, another)
        assert found == JOBS
        await again.append(EPOCH)
        assert (await reopened(again, another))[0] == [*JOBS, EPOCH]
        assert again.damage == ""

    async def test_what_is_applied_is_durable_and_what_is_durable_is_applied_before_more_is(
        self, another: Another, disk: Disk
    ) -> None:
        applied: list[Record] = []
        seen: list[list[Record]] = []

        def apply(record: Record) -> None:
            applied.append(record)
            seen.append(disk.durable())

        journal = another()
        await journal.open(apply)
        async with asyncio.TaskGroup() as appending:
            for record in JOBS:
                appending.create_task(journal.append(record), name="append")
                await asyncio.sleep(0)
        assert applied == JOBS
        for number, durable in enumerate(seen, 1):
            assert durable[:number] == JOBS[:number]

    async def test_those_who_come_together_keep_the_order_of_their_calls(
        self, journal: JobJournal, another: Another, applied: list[Record]
    ) -> None:
        jobs = [accepted(number) for number in range(50)]
        ends = [finished(number) for number in range(50)]
        async with asyncio.TaskGroup() as appending:
            for job, end in zip(jobs, ends, strict=True):
                appending.create_task(journal.append(job), name="append")
                appending.create_task(journal.append(end, from_reserve=True), name="append")
        assert [record for record in applied if isinstance(record, JobAccepted)] == jobs
        assert [record for record in applied if isinstance(record, JobFinished)] == ends
        assert (await reopened(journal, another))[0] == applied

    @pytest.mark.parametrize("turns", range(10))
    async def test_cancelled_at_any_moment_a_fact_is_durable_and_applied_or_neither(
        self,
        journal: JobJournal,
        another: Another,
        applied: list[Record],
        turns: int,
    ) -> None:
        tasks = [asyncio.create_task(journal.append(record)) for record in JOBS]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for record, outcome in zip(JOBS, outcomes, strict=True):
            assert isinstance(outcome, asyncio.CancelledError) or record in applied
        assert (await reopened(journal, another))[0] == applied

    async def test_cancelled_while_the_disk_hangs_what_is_on_its_way_is_applied_all_the_same(
        self, journal: JobJournal, another: Another, disk: Disk, applied: list[Record]
    ) -> None:
        disk.hold()
        first = asyncio.create_task(journal.append(JOBS[0]))
        await disk.held()
        second = asyncio.create_task(journal.append(JOBS[1]))
        third = asyncio.create_task(journal.append(JOBS[2]))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        disk.release()
        outcomes = await asyncio.gather(first, second, third, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [
            asyncio.CancelledError,
            asyncio.CancelledError,
            type(None),
        ]
        assert applied == [JOBS[0], JOBS[2]]
        assert (await reopened(journal, another))[0] == applied

    async def test_a_compacted_journal_holds_what_was_planned_and_what_came_later(
        self, journal: JobJournal, another: Another, applied: list[Record]
    ) -> None:
        for record in (EPOCH, *JOBS, finished(0, "x" * 5000)):
            await journal.append(record)
        before, used = list(applied), journal.used_bytes
        await journal.compact(lambda: Compaction([EPOCH, JOBS[1]], [tombstone(0)]))
        assert applied == before
        assert journal.used_bytes < used
        await journal.append(finished(1))
        found, again = await reopened(journal, another)
        assert found == [EPOCH, JOBS[1], finished(1)]
        assert again.damage == ""

    async def test_no_fact_is_lost_that_comes_while_it_is_compacted(
        self, journal: JobJournal, another: Another, applied: list[Record]
    ) -> None:
        async with asyncio.TaskGroup() as working:
            for number in range(60):
                working.create_task(journal.append(accepted(number)), name="append")
                if number % 20 == 10:
                    plan = journal.compact(lambda: Compaction(list(applied), []))
                    working.create_task(plan, name="compact")
                await asyncio.sleep(0)
        assert applied == [accepted(number) for number in range(60)]
        assert (await reopened(journal, another))[0] == applied

    async def test_tombstones_are_found_for_ever(
        self, journal: JobJournal, another: Another
    ) -> None:
        states = dict(enumerate(state for state in JobState if is_terminal(state)))
        for number, state in states.items():
            await journal.compact(partial(Compaction, [], [tombstone(number, state)]))
        many = [tombstone(number) for number in range(100, 200)]
        await journal.compact(lambda: Compaction([EPOCH], many))
        for _ in range(2):
            for number, state in states.items():
                assert journal.tombstone(f"job-{number}") == tombstone(number, state)
            assert [journal.tombstone(kept.job_id) for kept in many] == many
            assert journal.tombstone("job-99") is None
            assert journal.tombstone("") is None
            _, journal = await reopened(journal, another)

    async def test_what_is_kept_of_a_job_is_not_changed_by_keeping_it_again(
        self, journal: JobJournal
    ) -> None:
        await journal.compact(lambda: Compaction([], [tombstone(1)]))
        await journal.compact(lambda: Compaction([], [tombstone(1, JobState.FAILED), tombstone(2)]))
        assert journal.tombstone("job-1") == tombstone(1)
        assert journal.tombstone("job-2") == tombstone(2)

    async def test_a_plan_that_fails_changes_nothing(
        self, journal: JobJournal, another: Another
    ) -> None:
        def plan() -> Compaction:
            raise LookupError("no plan")

        await journal.append(EPOCH)
        with pytest.raises(LookupError, match="no plan"):
            await journal.compact(plan)
        await journal.append(JOBS[0])
        assert (await reopened(journal, another))[0] == [EPOCH, JOBS[0]]

    @pytest.mark.parametrize("turns", range(8))
    async def test_cancelled_at_any_moment_a_compaction_is_done_or_not_begun(
        self, journal: JobJournal, another: Another, turns: int
    ) -> None:
        for record in JOBS:
            await journal.append(record)
        compacting = asyncio.create_task(
            journal.compact(lambda: Compaction([EPOCH], [tombstone(0)]))
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        compacting.cancel()
        await asyncio.gather(compacting, return_exceptions=True)
        await journal.append(finished(1))
        found, again = await reopened(journal, another)
        assert found in ([*JOBS, finished(1)], [EPOCH, finished(1)])
        assert found[0] != EPOCH or again.tombstone("job-0") == tombstone(0)

    async def test_a_full_disk_takes_ends_and_no_jobs_and_is_not_compacted(
        self, journal: JobJournal, another: Another, disk: Disk, applied: list[Record]
    ) -> None:
        await journal.append(EPOCH)
        disk.fill()
        with pytest.raises(NoSpace):
            await append_many_and_large(journal)
        await journal.append(finished(0), from_reserve=True)
        with pytest.raises(NoSpace):
            await journal.compact(lambda: Compaction([], [tombstone(0)]))
        await journal.append(finished(1), from_reserve=True)
        assert applied[-2:] == [finished(0), finished(1)]
        disk.free()
        await journal.append(JOBS[0])
        assert (await reopened(journal, another))[0] == applied
        assert applied[0] == EPOCH

    async def test_after_a_disk_that_failed_nothing_is_believed_before_it_is_opened_again(
        self, journal: JobJournal, another: Another, disk: Disk, applied: list[Record]
    ) -> None:
        await journal.append(EPOCH)
        disk.fail()
        with pytest.raises(StorageUnavailable) as failure:
            await journal.append(JOBS[0])
        assert not isinstance(failure.value, NoSpace)
        disk.mend()
        with pytest.raises(StorageUnavailable):
            await journal.append(JOBS[1], from_reserve=True)
        with pytest.raises(StorageUnavailable):
            await journal.compact(lambda: Compaction([], []))
        assert applied == [EPOCH]
        found, again = await reopened(journal, another)
        assert found in ([EPOCH], [EPOCH, JOBS[0]])
        await again.append(JOBS[2])

    async def test_damage_is_said_until_a_new_epoch_follows_it(
        self, journal: JobJournal, another: Another, disk: Disk
    ) -> None:
        for record in (EPOCH, *JOBS):
            await journal.append(record)
        await journal.close()
        disk.spoil(2)
        intact = [EPOCH, JOBS[0], *JOBS[2:]]

        found, second = await reopened(journal, another)
        assert found == intact
        assert second.damage
        found, third = await reopened(second, another)
        assert found == intact
        assert third.damage
        await third.compact(lambda: Compaction(intact, []))
        found, fourth = await reopened(third, another)
        assert found == intact
        assert fourth.damage
        await fourth.append(EpochBegun("epoch-2"))
        assert fourth.damage
        found, fifth = await reopened(fourth, another)
        assert found == [*intact, EpochBegun("epoch-2")]
        assert fifth.damage == ""

    async def test_closing_again_is_harmless_and_nothing_can_be_written_after(
        self, journal: JobJournal, applied: list[Record]
    ) -> None:
        await journal.append(EPOCH)
        await journal.close()
        await journal.close()
        with pytest.raises(StorageUnavailable):
            await journal.append(JOBS[0])
        with pytest.raises(StorageUnavailable):
            await journal.compact(lambda: pytest.fail("planned"))
        with pytest.raises(StorageUnavailable):
            journal.tombstone("job-0")
        assert applied == [EPOCH]

    async def test_nothing_can_be_written_or_said_before_it_is_opened(
        self, another: Another
    ) -> None:
        with pytest.raises(StorageUnavailable):
            await another().append(EPOCH)
        with pytest.raises(StorageUnavailable):
            another().tombstone("job-0")

    async def test_tombstones_can_be_asked_for_while_it_is_read(
        self, journal: JobJournal, another: Another
    ) -> None:
        await journal.compact(lambda: Compaction([EPOCH], [tombstone(1)]))
        await journal.close()
        again = another()
        said: list[Tombstone | None] = []
        await again.open(lambda _: said.append(again.tombstone("job-1")))
        assert said == [tombstone(1)]


async def append_many_and_large(journal: JobJournal) -> None:
    """Fill any space that a journal has for records that may be refused."""
    for number in range(200):
        await journal.append(finished(number, "x" * 20_000))


async def reopened(before: JobJournal, another: Another) -> tuple[list[Record], JobJournal]:
    """Close a journal, and open another one on its disk; returns what that read."""
    await before.close()
    found: list[Record] = []
    journal = another()
    await journal.open(found.append)
    return found, journal
