"""Many appends, few waits for the disk."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from adapters.journal.framed_log import FramedLog
from adapters.journal.group_commit import GroupCommit
from domain.errors import Busy, NoSpace, StorageUnavailable


class SlowDisk:
    """Lets an `fdatasync` through for each permit that is released, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.syncs = 0
        self.began = threading.Event()
        self.permits = threading.Semaphore(0)
        self._sync = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self._hang)

    def _hang(self, fd: int) -> None:
        if threading.current_thread() is threading.main_thread():
            self._sync(fd)  # The test itself opens the journal again.
            return
        self.syncs += 1
        self.began.set()
        self.permits.acquire()
        self._sync(fd)


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def log(tmp_path: Path) -> Iterator[FramedLog]:
    log = FramedLog(tmp_path / "state")
    log.open()
    yield log
    log.close()


def nothing() -> None:
    """What is done once a record is written, where a test does not look at that."""


def recovered(log: FramedLog) -> list[bytes]:
    return list(log.open().payloads)


async def begun(disk: SlowDisk) -> None:
    await asyncio.get_running_loop().run_in_executor(None, disk.began.wait)


async def test_an_append_that_returned_is_on_the_disk(log: FramedLog, executor: Executor) -> None:
    journal = GroupCommit(log, executor)
    await journal.append(b"one", nothing)
    await journal.append(b"two", nothing, from_reserve=True)
    assert recovered(log) == [b"one", b"two"]


async def test_who_comes_while_the_disk_is_busy_shares_the_next_wait_in_order(
    log: FramedLog, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    journal = GroupCommit(log, executor)
    records = [b"%d" % number for number in range(100)]
    async with asyncio.TaskGroup() as appending:
        appending.create_task(journal.append(b"first", nothing), name="first")
        await begun(disk)
        for record in records:
            appending.create_task(journal.append(record, nothing), name="append")
        await asyncio.sleep(0)
        disk.permits.release(9)
    assert disk.syncs == 2
    assert recovered(log) == [b"first", *records]


async def test_what_may_use_the_reserve_is_written_where_the_rest_is_refused(
    log: FramedLog, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    append = log.append

    def full(payloads: list[bytes], *, from_reserve: bool = False) -> None:
        if not from_reserve and payloads != [b"first"]:
            raise NoSpace("no space left on the disk")
        append(payloads, from_reserve=from_reserve)

    monkeypatch.setattr(log, "append", full)
    journal = GroupCommit(log, executor)
    first = asyncio.create_task(journal.append(b"first", nothing))
    await begun(disk)
    refused = [asyncio.create_task(journal.append(b"job", nothing)) for _ in range(3)]
    end = asyncio.create_task(journal.append(b"end", nothing, from_reserve=True))
    await asyncio.sleep(0)
    disk.permits.release(9)
    answers = await asyncio.gather(first, end, *refused, return_exceptions=True)
    assert answers[:2] == [None, None]
    assert all(isinstance(answer, NoSpace) for answer in answers[2:])
    assert recovered(log) == [b"first", b"end"]


async def test_one_who_is_cancelled_before_the_disk_began_leaves_nothing(
    log: FramedLog, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    journal = GroupCommit(log, executor)
    first = asyncio.create_task(journal.append(b"first", nothing))
    await begun(disk)
    given_up = asyncio.create_task(journal.append(b"given up", nothing))
    stays = asyncio.create_task(journal.append(b"stays", nothing))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    disk.permits.release(9)
    await asyncio.gather(first, stays)
    assert recovered(log) == [b"first", b"stays"]


async def test_one_who_is_cancelled_while_it_writes_for_others_fails_none_of_them(
    log: FramedLog, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    journal = GroupCommit(log, executor)
    first = asyncio.create_task(journal.append(b"first", nothing))
    await begun(disk)
    leader, follower = (
        asyncio.create_task(journal.append(record, nothing)) for record in (b"2", b"3")
    )
    await asyncio.sleep(0)
    disk.began.clear()
    disk.permits.release()
    await first
    await begun(disk)
    leader.cancel()
    disk.permits.release()
    await follower
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert recovered(log) == [b"first", b"2", b"3"]


async def test_no_thread_to_be_had_is_told_to_each_who_waits(log: FramedLog) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    journal = GroupCommit(log, executor)
    answers = await asyncio.gather(
        *(journal.append(b"x", nothing) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(answer, RuntimeError) for answer in answers)
    assert recovered(log) == []


async def test_what_waits_is_bounded_but_for_what_has_to_be_recorded(
    log: FramedLog, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    journal = GroupCommit(log, executor, max_waiting_bytes=10)
    first = asyncio.create_task(journal.append(b"12345678", nothing))
    await begun(disk)
    with pytest.raises(Busy):
        await journal.append(b"123", nothing)
    end = asyncio.create_task(journal.append(b"end", nothing, from_reserve=True))
    disk.permits.release(9)
    await asyncio.gather(first, end)
    await journal.append(b"1234567890", nothing)
    assert recovered(log) == [b"12345678", b"end", b"1234567890"]


async def test_what_is_written_is_applied_in_the_order_of_the_file_before_anybody_goes_on(
    log: FramedLog, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    journal = GroupCommit(log, executor)
    done: list[bytes] = []

    async def append(record: bytes, *, from_reserve: bool = False) -> None:
        await journal.append(record, partial(done.append, record), from_reserve=from_reserve)
        done.append(record + b" goes on")

    async with asyncio.TaskGroup() as appending:
        appending.create_task(append(b"first"), name="first")
        await begun(disk)
        appending.create_task(append(b"job"), name="job")
        appending.create_task(append(b"end", from_reserve=True), name="end")
        await asyncio.sleep(0)
        disk.permits.release(9)
    applied = [b"first", b"end", b"job"]
    assert [record for record in done if record in applied] == applied == recovered(log)
    assert done[:2] == [b"first", b"first goes on"]
    assert done[2:4] == [b"end", b"job"]


async def test_what_was_begun_with_is_applied_also_when_all_who_waited_were_cancelled(
    log: FramedLog, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    journal = GroupCommit(log, executor)
    applied: list[bytes] = []
    first = asyncio.create_task(journal.append(b"1", partial(applied.append, b"1")))
    await begun(disk)
    others = [
        asyncio.create_task(journal.append(record, partial(applied.append, record)))
        for record in (b"2", b"3")
    ]
    await asyncio.sleep(0)
    disk.began.clear()
    disk.permits.release()
    await first
    await begun(disk)
    for other in others:
        other.cancel()
    disk.permits.release(9)
    await asyncio.gather(*others, return_exceptions=True)
    await journal.append(b"4", partial(applied.append, b"4"))
    assert applied == [b"1", b"2", b"3", b"4"] == recovered(log)


async def test_an_apply_that_fails_is_the_end(log: FramedLog, executor: Executor) -> None:
    def fail() -> None:
        raise LookupError("a bug")

    journal = GroupCommit(log, executor)
    applied: list[bytes] = []
    answers = await asyncio.gather(
        journal.append(b"1", partial(applied.append, b"1")),
        journal.append(b"2", fail),
        journal.append(b"3", partial(applied.append, b"3")),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [type(None), LookupError, LookupError]
    assert applied == [b"1"]
    with pytest.raises(StorageUnavailable):
        await journal.append(b"4", nothing)


async def test_a_write_that_no_thread_came_to_is_written_for_nobody(log: FramedLog) -> None:
    executor = ThreadPoolExecutor(1)
    is_over = threading.Event()
    executor.submit(is_over.wait)
    journal = GroupCommit(log, executor)
    async with journal.pause():
        waiting = [asyncio.create_task(journal.append(b"x", nothing)) for _ in range(2)]
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    executor.shutdown(wait=False, cancel_futures=True)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    is_over.set()
    assert isinstance(answers[0], asyncio.CancelledError)
    assert isinstance(answers[1], StorageUnavailable)
    assert recovered(log) == []


async def test_nothing_is_written_during_a_pause_and_all_that_waited_after_it(
    log: FramedLog, executor: Executor
) -> None:
    journal = GroupCommit(log, executor)
    async with journal.pause():
        waiting = [asyncio.create_task(journal.append(record, nothing)) for record in (b"1", b"2")]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        used = log.used_bytes
    await asyncio.gather(*waiting)
    assert log.used_bytes > used
    assert recovered(log) == [b"1", b"2"]
