"""Those who wait for the database share its commits, in order, and fail one by one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar, cast

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from adapters.storage.failures import Refused
from adapters.storage.transaction import Numbers, Transaction
from adapters.storage.writer import MOST_TOGETHER, Writer
from domain.errors import (
    Conflict,
    InstaDeployError,
    NoSpace,
    StorageBusy,
    StorageUnavailable,
)
from domain.fleet.host import HostId
from domain.fleet.link_state import Heard, LinkState, Recorded

T = TypeVar("T")

A, B = HostId("a"), HostId("b")


class _Savepoints:
    """Stands for a connection: what is written behind a savepoint goes when that is rolled back."""

    def __init__(self, written: list[str]) -> None:
        self.written = written

    def begin_nested(self) -> _Savepoint:
        return _Savepoint(self.written)


class _Savepoint:
    def __init__(self, written: list[str]) -> None:
        self._written, self._length = written, len(written)

    def commit(self) -> None: ...

    def rollback(self) -> None:
        del self._written[self._length :]


class _Database:
    """A `WritingConnection`: `commits` has what each commit has written."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.failures: list[BaseException] = []
        self.is_at_work = asyncio.Event()
        self.may_commit = asyncio.Event()
        self.may_commit.set()

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        self.is_at_work.set()
        await self.may_commit.wait()
        written: list[str] = []
        tx = Transaction(cast("Connection", _Savepoints(written)), Numbers(1))
        result = work(tx)
        if self.failures:
            raise self.failures.pop(0)
        self.commits.append(written)
        return result

    async def close(self) -> None: ...

    @property
    def written(self) -> list[str]:
        return [each for commit in self.commits for each in commit]


def writing(word: str, failure: BaseException | None = None) -> Callable[[Transaction], str]:
    """Write a word, and then fail, where there is something to raise."""

    def work(tx: Transaction) -> str:
        cast("Any", tx.connection).written.append(word)
        if failure is not None:
            raise failure
        return word.upper()

    return work


def record_all(tx: Transaction, heard: Sequence[Heard]) -> Sequence[Recorded | InstaDeployError]:
    """Write who was heard; `spoilt` fails all that are recorded with it, `stray` only itself."""
    cast("Any", tx.connection).written.append("+".join(each.host_id for each in heard))
    if any(each.host_id == "spoilt" for each in heard):
        raise IntegrityError("INSERT", {}, Exception("no"))
    return [
        Conflict("stray") if each.host_id == "stray" else Recorded(LinkState(each.host_id))
        for each in heard
    ]


def number_all(tx: Transaction, asked: Sequence[HostId]) -> Sequence[str | InstaDeployError]:
    """Write whose turn it was, as another kind of what is carried out in common."""
    cast("Any", tx.connection).written.append("#" + "+".join(asked))
    return list(asked)


async def recorded(writer: Writer, host_id: HostId) -> Recorded:
    return await writer.in_common(record_all, Heard(host_id, 0.0), host_id=host_id)


async def numbered(writer: Writer, host_id: HostId) -> str:
    return await writer.in_common(number_all, host_id, host_id=host_id)


@pytest.fixture
def database() -> _Database:
    return _Database()


@contextlib.asynccontextmanager
async def serving(database: _Database, **bounds: int) -> AsyncIterator[Writer]:
    writer = Writer(database, **bounds)
    task = asyncio.create_task(writer.serve(), name="writer")
    try:
        yield writer
    finally:
        database.may_commit.set()
        writer.close()
        await task


async def _begun(*work: Any) -> list[asyncio.Task[Any]]:
    """Tasks that have got as far as the queue, in this order."""
    tasks = [asyncio.create_task(each) for each in work]
    await asyncio.sleep(0)
    return tasks


async def _outcomes(tasks: Sequence[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_that_comes_alone_is_committed_and_answered(database: _Database) -> None:
    async with serving(database) as writer:
        assert await writer.carry_out(writing("a")) == "A"
        assert database.commits == [["a"]]


async def test_those_who_come_while_it_commits_share_the_next_commit(database: _Database) -> None:
    async with serving(database) as writer:
        database.may_commit.clear()
        tasks = await _begun(writer.carry_out(writing("a")))
        await database.is_at_work.wait()
        tasks += await _begun(*(writer.carry_out(writing(word)) for word in "bcd"))
        database.may_commit.set()
        assert await _outcomes(tasks) == ["A", "B", "C", "D"]
        assert database.commits == [["a"], ["b", "c", "d"]]


async def test_one_that_fails_takes_nothing_with_it(database: _Database) -> None:
    refused = IntegrityError("INSERT", {}, Exception("no"))
    async with serving(database) as writer:
        database.may_commit.clear()
        tasks = await _begun(
            writer.carry_out(writing("a")),
            writer.carry_out(writing("b", Conflict("b"))),
            writer.carry_out(writing("c", refused)),
            writer.carry_out(writing("d", LookupError("d"))),
            writer.carry_out(writing("e")),
        )
        database.may_commit.set()
        outcomes = await _outcomes(tasks)
        assert [type(outcome) for outcome in outcomes] == [
            str,
            Conflict,
            Refused,
            LookupError,
            str,
        ]
        assert database.written == ["a", "e"]


async def test_where_the_database_fails_all_that_share_the_commit_fail(
    database: _Database,
) -> None:
    lost = OperationalError("INSERT", {}, Exception("gone"), connection_invalidated=True)
    async with serving(database) as writer:
        for failure in (StorageUnavailable("gone"), lost):
            database.may_commit.clear()
            tasks = await _begun(*(writer.carry_out(writing(word)) for word in "ab"))
            database.failures.append(failure)
            database.may_commit.set()
            assert await _outcomes(tasks) == [failure, failure]
        assert await writer.carry_out(writing("c")) == "C"
        assert database.written == ["c"]


async def test_on_a_full_disk_each_is_tried_by_itself(database: _Database) -> None:
    async with serving(database) as writer:
        database.may_commit.clear()
        tasks = await _begun(*(writer.carry_out(writing(word)) for word in "abc"))
        full = NoSpace("full")
        database.failures += [full, full]
        database.may_commit.set()
        assert await _outcomes(tasks) == [full, "B", "C"]
        assert database.commits == [["b"], ["c"]]


async def test_what_hosts_have_said_is_recorded_in_common(database: _Database) -> None:
    async with serving(database) as writer:
        database.may_commit.clear()
        tasks = await _begun(*(recorded(writer, HostId(name)) for name in ("a", "b", "stray", "a")))
        database.may_commit.set()
        outcomes = await _outcomes(tasks)
        assert database.written == ["a+b+stray+a"]
        assert [type(outcome) for outcome in outcomes] == [Recorded, Recorded, Conflict, Recorded]
        with pytest.raises(Conflict):
            await recorded(writer, HostId("stray"))


async def test_what_cannot_be_recorded_fails_alone(database: _Database) -> None:
    async with serving(database) as writer:
        database.may_commit.clear()
        tasks = await _begun(*(recorded(writer, HostId(name)) for name in ("a", "spoilt", "b")))
        database.may_commit.set()
        outcomes = await _outcomes(tasks)
        assert database.written == ["a", "b"]
        assert [type(outcome) for outcome in outcomes] == [Recorded, Refused, Recorded]


async def test_recordings_keep_their_place_among_what_concerns_the_same_host(
    database: _Database,
) -> None:
    async with serving(database) as writer:
        database.may_commit.clear()
        tasks = await _begun(
            recorded(writer, A),
            writer.carry_out(writing("of b"), host_ids=[B]),
            writer.carry_out(writing("of none"), host_ids=[]),
            recorded(writer, A),  # Joins the first: nothing of a came in between.
            recorded(writer, B),  # Does not.
            recorded(writer, A),
            writer.carry_out(writing("of any")),
            recorded(writer, A),
        )
        database.may_commit.set()
        await _outcomes(tasks)
        assert database.written == ["a+a", "of b", "of none", "b+a", "of any", "a"]


async def test_what_is_asked_in_common_keeps_its_place_behind_other_kinds_for_the_same_host(
    database: _Database,
) -> None:
    async with serving(database) as writer:
        database.may_commit.clear()
        tasks = await _begun(
            recorded(writer, A),
            numbered(writer, A),
            numbered(writer, B),
            recorded(writer, B),  # Behind its number.
            recorded(writer, A),  # With it: it may not go before the number either.
            numbered(writer, HostId("c")),  # Joins those before: it has nothing to wait for.
            numbered(writer, B),  # Does not.
            recorded(writer, HostId("c")),
        )
        database.may_commit.set()
        await _outcomes(tasks)
        assert database.written == ["a", "#a+b+c", "b+a+c", "#b"]


async def test_too_many_or_too_much_is_refused(database: _Database) -> None:
    async with serving(database, max_waiting=3, max_waiting_bytes=1000) as writer:
        database.may_commit.clear()
        tasks = await _begun(writer.carry_out(writing("a"), weight=900))
        await database.is_at_work.wait()
        tasks += await _begun(writer.carry_out(writing("b"), weight=900))
        with pytest.raises(StorageBusy):
            await writer.carry_out(writing("c"), weight=101)
        tasks += await _begun(*(writer.carry_out(writing(word), weight=1) for word in "de"))
        with pytest.raises(StorageBusy):
            await writer.carry_out(writing("f"), weight=1)
        database.may_commit.set()
        assert await _outcomes(tasks) == ["A", "B", "D", "E"]
        assert await writer.carry_out(writing("g"), weight=1000) == "G"


async def test_no_commit_is_of_too_many(database: _Database) -> None:
    async with serving(database) as writer:
        database.may_commit.clear()
        tasks = await _begun(*(writer.carry_out(writing("x")) for _ in range(MOST_TOGETHER + 5)))
        database.may_commit.set()
        await _outcomes(tasks)
        assert [len(commit) for commit in database.commits] == [MOST_TOGETHER, 5]


async def test_cancelled_before_its_commit_has_begun_it_is_not_carried_out(
    database: _Database,
) -> None:
    async with serving(database) as writer:
        database.may_commit.clear()
        first = await _begun(writer.carry_out(writing("a")))
        await database.is_at_work.wait()
        others = await _begun(*(writer.carry_out(writing(word)) for word in "bc"))
        for task in (*first, others[0]):
            task.cancel()
        outcomes = await _outcomes([*first, others[0]])
        assert [type(each) for each in outcomes] == [asyncio.CancelledError] * 2
        database.may_commit.set()
        assert await others[1] == "C"
        assert database.commits == [["a"], ["c"]]


async def test_closed_it_writes_what_waits_and_takes_nothing_more(database: _Database) -> None:
    async with serving(database) as writer:
        database.may_commit.clear()
        tasks = await _begun(writer.carry_out(writing("a")))
        await database.is_at_work.wait()
        tasks += await _begun(writer.carry_out(writing("b")))
        writer.close()
        with pytest.raises(StorageUnavailable):
            await writer.carry_out(writing("c"))
        database.may_commit.set()
        assert await _outcomes(tasks) == ["A", "B"]
    with pytest.raises(StorageUnavailable):
        await writer.carry_out(writing("d"))


async def test_nobody_waits_for_a_writer_that_was_ended(database: _Database) -> None:
    writer = Writer(database)
    serve = asyncio.create_task(writer.serve())
    database.may_commit.clear()
    tasks = await _begun(writer.carry_out(writing("a")))
    await database.is_at_work.wait()
    tasks += await _begun(writer.carry_out(writing("b")))
    serve.cancel()
    outcomes = await _outcomes(tasks)
    assert [type(each) for each in outcomes] == [StorageUnavailable] * 2
    with pytest.raises(StorageUnavailable):
        await writer.carry_out(writing("c"))
    assert serve.cancelled()
