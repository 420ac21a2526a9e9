"""What many ask for at the same time is read once, and never before it was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from adapters.storage.shared_reading import SharedReading


class _Book:
    """Reads what is in it, and notes for what it was asked; held while `may_read` is not set."""

    def __init__(self) -> None:
        self.pages = {"a": 1, "b": 2, "c": 3}
        self.asked: list[list[str]] = []
        self.most = 9
        self.failure: Exception | None = None
        self.is_reading = asyncio.Event()
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def read_all(self, keys: Sequence[str]) -> Mapping[str, int | None]:
        self.asked.append(list(keys))
        found = {key: self.pages.get(key) for key in keys[: self.most]}
        self.is_reading.set()
        await self.may_read.wait()
        if self.failure is not None:
            raise self.failure
        return found


@pytest.fixture
def book() -> _Book:
    return _Book()


async def _begun(*work: asyncio.Task[int | None]) -> list[asyncio.Task[int | None]]:
    await asyncio.sleep(0)
    return list(work)


async def test_those_who_ask_together_are_answered_together(book: _Book) -> None:
    reading = SharedReading(book.read_all)
    assert await asyncio.gather(*map(reading, "abxa")) == [1, 2, None, 1]
    assert book.asked == [["a", "b", "x"]]
    assert await reading("c") == 3


async def test_who_asks_while_it_reads_gets_what_is_read_after_that(book: _Book) -> None:
    reading = SharedReading(book.read_all)
    book.may_read.clear()
    first = asyncio.create_task(reading("a"))
    await book.is_reading.wait()
    book.pages["a"] = 10
    later = await _begun(asyncio.create_task(reading("a")), asyncio.create_task(reading("b")))
    book.may_read.set()
    assert (await first, [await each for each in later]) == (1, [10, 2])
    assert book.asked == [["a"], ["a", "b"]]


async def test_what_is_left_out_is_asked_for_again(book: _Book) -> None:
    book.most = 1
    reading = SharedReading(book.read_all)
    assert await asyncio.gather(*map(reading, "abc")) == [1, 2, 3]
    assert book.asked == [["a", "b", "c"], ["b", "c"], ["c"]]


async def test_it_does_not_ask_for_too_much_at_once(book: _Book) -> None:
    reading = SharedReading(book.read_all, most=2)
    assert await asyncio.gather(*map(reading, "abc")) == [1, 2, 3]
    assert book.asked == [["a", "b"], ["c"]]


async def test_a_failure_is_everybodys_who_asked_and_nobody_elses(book: _Book) -> None:
    reading = SharedReading(book.read_all)
    book.failure = LookupError("torn")
    outcomes = await asyncio.gather(*map(reading, "ab"), return_exceptions=True)
    assert outcomes == [book.failure] * 2
    book.failure = None
    assert await reading("a") == 1


async def test_who_gives_up_takes_nothing_from_the_others(book: _Book) -> None:
    reading = SharedReading(book.read_all)
    book.may_read.clear()
    first, same = await _begun(*(asyncio.create_task(reading("a")) for _ in range(2)))
    await book.is_reading.wait()
    (waiting,) = await _begun(asyncio.create_task(reading("b")))
    first.cancel()
    waiting.cancel()
    await asyncio.gather(first, waiting, return_exceptions=True)
    book.may_read.set()
    assert await same == 1
    assert book.asked == [["a"]]


async def test_whoever_waits_is_cancelled_with_it(book: _Book) -> None:
    reading = SharedReading(book.read_all)
    book.may_read.clear()
    first = asyncio.create_task(reading("a"))
    await book.is_reading.wait()
    (later,) = await _begun(asyncio.create_task(reading("b")))
    (task,) = [one for one in asyncio.all_tasks() if one.get_name() == "reading for many"]
    task.cancel()
    outcomes = await asyncio.gather(first, later, return_exceptions=True)
    assert [type(each) for each in outcomes] == [asyncio.CancelledError] * 2
