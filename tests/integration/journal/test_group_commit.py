"""Many appends, few waits for the disk."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.journal.framed_log import FramedLog
from adapters.journal.group_commit import GroupCommit
from domain.errors import Busy, NoSpace


class SlowDisk:
    """Lets an `fdatasync` through for each permit that is released, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.syncs = 0
        self.began = threading.Event()
        self.permits = threading.Semaphore(0)
        self._sync = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self._hang)

    def _hang(self, fd: int) -> None:
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


def recovered(log: FramedLog) -> list[bytes]:
    return list(log.open().payloads)


async def begun(disk: SlowDisk) -> None:
    await asyncio.get_running_loop().run_in_executor(None, disk.began.wait)


async def test_an_append_that_returned_is_on_the_disk(log: FramedLog, executor: Executor) -> None:
    journal = GroupCommit(log, executor)
    await journal.append(b"one")
    await journal.append(b"two", from_reserve=True)
    assert recovered(log) == [b"one", b"two"]


async def test_who_comes_while_the_disk_is_busy_shares_the_next_wait_in_order(
    log: FramedLog, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    journal = GroupCommit(log, executor)
    records = [b"%d" % number for number in range(100)]
    async with asyncio.TaskGroup() as appending:
        appending.create_task(journal.append(b"first"), name="first")
        await begun(disk)
        for record in records:
            appending.create_task(journal.append(record), name="append")
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
    first = asyncio.create_task(journal.append(b"first"))
    await begun(disk)
    refused = [asyncio.create_task(journal.append(b"job")) for _ in range(3)]
    end = asyncio.create_task(journal.append(b"end", from_reserve=True))
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
    first = asyncio.create_task(journal.append(b"first"))
    await begun(disk)
    given_up = asyncio.create_task(journal.append(b"given up"))
    stays = asyncio.create_task(journal.append(b"stays"))
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
    first = asyncio.create_task(journal.append(b"first"))
    await begun(disk)
    leader, follower = (asyncio.create_task(journal.append(record)) for record in (b"2", b"3"))
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
        *(journal.append(b"x") for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(answer, RuntimeError) for answer in answers)
    assert recovered(log) == []


async def test_what_waits_is_bounded_but_for_what_has_to_be_recorded(
    log: FramedLog, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    journal = GroupCommit(log, executor, max_waiting_bytes=10)
    first = asyncio.create_task(journal.append(b"12345678"))
    await begun(disk)
    with pytest.raises(Busy):
        await journal.append(b"123")
    end = asyncio.create_task(journal.append(b"end", from_reserve=True))
    disk.permits.release(9)
    await asyncio.gather(first, end)
    await journal.append(b"1234567890")
    assert recovered(log) == [b"12345678", b"end", b"1234567890"]
