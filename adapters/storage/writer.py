"""Those who must wait for the database wait for it together: one connection writes, in one order.

What comes while a transaction is being committed shares the next one. In it each operation has a
savepoint, so that one that fails takes nothing with it; what is asked for each of many hosts, such as
to record what it has said, is carried out in common, as long as nothing else that concerns the same
host came in between.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from adapters.storage.failures import is_of_one_operation, translation_of
from adapters.storage.transaction import Transaction
from domain.errors import InstaDeployError, NoSpace, StorageBusy, StorageUnavailable
from domain.fleet.host import HostId

A = TypeVar("A")
T = TypeVar("T")

MAX_WAITING: Final = 20_000
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
MOST_TOGETHER: Final = 1_000
MOST_BYTES_TOGETHER: Final = 16 * 1024 * 1024
"""So that nobody waits long for others, and a transaction does not grow without bound."""

_LOG = logging.getLogger(__name__)

Work = Callable[[Transaction], T]
AllOf = Callable[[Transaction, Sequence[A]], Sequence[T | InstaDeployError]]
"""Carries out what is asked for several hosts; what it returns for one may be what to raise there."""


class WritingConnection(Protocol):
    """The connection that alone writes; see `connecting`."""

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Carry out and commit, if anything was written, and return what `work` returned.

        Raises what `work` raises, with nothing done, and `StorageUnavailable` as `JobStore` says.
        """
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(slots=True, eq=False)
class _Operation:
    """`host_ids` are of the hosts that it concerns, None for any.

    `asked` is what `all_of` carries out, in common with others of its kind.
    """

    work: Work[Any]
    weight: int
    future: asyncio.Future[Any]
    host_ids: frozenset[HostId] | None
    all_of: AllOf[Any, Any] | None = None
    asked: Any = None

    def succeed(self, result: object) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, failure: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(failure)


_Outcome = tuple[_Operation, object]
"""What an operation has led to; an exception is what it raises."""


class Writer:
    """`serve` has to run for as long as it is used."""

    def __init__(
        self,
        connection: WritingConnection,
        *,
        max_waiting: int = MAX_WAITING,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._connection = connection
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: collections.deque[_Operation] = collections.deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()
        self._is_closed = False

    async def carry_out(
        self, work: Work[T], *, weight: int = 1024, host_ids: Iterable[HostId] | None = None
    ) -> T:
        """Return what `work` returns, once that is durable, or raise what it raises.

        `weight` is about how many bytes it holds. `host_ids` are of all hosts that it concerns, where
        that is known beforehand. Cancelled before its transaction has begun, it is not carried out;
        later, it is.
        """
        known = None if host_ids is None else frozenset(host_ids)
        return cast("T", await self._enqueue(work, weight, known))

    async def in_common(
        self, all_of: AllOf[A, T], asked: A, *, weight: int = 1024, host_id: HostId
    ) -> T:
        """As `carry_out` does; together with what others ask of `all_of`, for their hosts or this."""
        known = frozenset({host_id})
        work = _alone(all_of, asked)
        return cast("T", await self._enqueue(work, weight, known, all_of, asked))

    async def serve(self) -> None:
        """Write, until it is closed and nobody waits any more."""
        try:
            while not self._is_closed or self._waiting:
                await self._news.wait()
                if batch := self._next_batch():
                    await self._commit(batch)
                elif not self._is_closed:
                    self._news.clear()
        finally:
            self._is_closed = True
            for operation in self._waiting:
                operation.fail(StorageUnavailable("the database was closed"))
            self._waiting.clear()

    def close(self) -> None:
        """Take nothing more; `serve` comes to its end once all that waits is written."""
        self._is_closed = True
        self._news.set()

    async def _enqueue(
        self,
        work: Work[Any],
        weight: int,
        host_ids: frozenset[HostId] | None,
        all_of: AllOf[Any, Any] | None = None,
        asked: object = None,
    ) -> object:
        if self._is_closed:
            raise StorageUnavailable("the database is closed")
        if (
            len(self._waiting) >= self._max_waiting
            or self._waiting_bytes + weight > self._max_waiting_bytes
        ):
            raise StorageBusy("too much waits for the database")
        future = asyncio.get_running_loop().create_future()
        operation = _Operation(work, weight, future, host_ids, all_of, asked)
        self._waiting.append(operation)
        self._waiting_bytes += weight
        self._news.set()
        return await future

    def _next_batch(self) -> list[_Operation]:
        batch: list[_Operation] = []
        size = 0
        while self._waiting and len(batch) < MOST_TOGETHER and size < MOST_BYTES_TOGETHER:
            operation = self._waiting.popleft()
            self._waiting_bytes -= operation.weight
            if not operation.future.done():  # It is, where nobody waits for it any more.
                batch.append(operation)
                size += operation.weight
        return batch

    async def _commit(self, batch: Sequence[_Operation]) -> None:
        try:
            outcomes = await self._connection.transact(lambda tx: self._all_of(batch, tx))
        except NoSpace as exc:
            if len(batch) == 1:
                batch[0].fail(exc)
                return
            # What is small may still fit.
            for operation in batch:
                await self._commit([operation])
        except Exception as exc:  # noqa: BLE001 - raised to each who waits for it
            if not isinstance(exc, InstaDeployError):
                _LOG.error("writing to the database failed: %s", type(exc).__name__, exc_info=exc)
            for operation in batch:
                operation.fail(exc)
        except BaseException:
            for operation in batch:
                operation.fail(StorageUnavailable("the database was closed"))
            raise
        else:
            for operation, outcome in outcomes:
                if isinstance(outcome, BaseException):
                    operation.fail(outcome)
                else:
                    operation.succeed(outcome)

    def _all_of(self, batch: Sequence[_Operation], tx: Transaction) -> list[_Outcome]:
        groups = _grouped(batch)
        if len(groups) == 1 and len(groups[0]) == 1:
            (operation,) = batch
            return [(operation, operation.work(tx))]
        return [outcome for group in groups for outcome in self._group(group, tx)]

    def _group(self, group: Sequence[_Operation], tx: Transaction) -> list[_Outcome]:
        all_of = group[0].all_of
        if all_of is None or len(group) == 1:
            return [(operation, _saved(operation.work, tx)) for operation in group]
        asked = [operation.asked for operation in group]
        outcomes = _saved(lambda tx: all_of(tx, asked), tx)
        if isinstance(outcomes, BaseException):
            # Something of what one of them asks cannot be done: find out whose.
            return [(operation, _saved(operation.work, tx)) for operation in group]
        return list(zip(group, outcomes, strict=True))


def _alone(all_of: AllOf[A, T], asked: A) -> Work[T]:
    def work(tx: Transaction) -> T:
        (outcome,) = all_of(tx, [asked])
        if isinstance(outcome, InstaDeployError):
            raise outcome
        return outcome

    return work


def _saved(work: Work[T], tx: Transaction) -> T | Exception:
    """Carry it out, or undo it and say why; raises where the database fails."""
    connection: Connection = tx.connection
    was_dirty = tx.is_dirty
    savepoint = connection.begin_nested()
    try:
        result = work(tx)
    except InstaDeployError as exc:
        failure: Exception = exc
    except DBAPIError as exc:
        if not is_of_one_operation(exc):
            raise
        failure = translation_of(exc)
        failure.__cause__ = exc
    except (OSError, SQLAlchemyError):
        raise
    except Exception as exc:  # noqa: BLE001 - raised to who waits for it
        failure = exc
    else:
        savepoint.commit()
        return result
    savepoint.rollback()
    tx.is_dirty = was_dirty
    return failure


@dataclass(slots=True)
class _Gathering:
    """Operations of one kind that are carried out in common, for now the last of that kind."""

    place: int
    members: list[_Operation] = field(default_factory=list)
    since: set[HostId] = field(default_factory=set)
    """Hosts that something else concerned since: what concerns them cannot join any more."""


def _grouped(batch: Iterable[_Operation]) -> list[list[_Operation]]:
    """In the order in which they came, but that each joins those of its kind before it where it may."""
    groups: list[list[_Operation]] = []
    gatherings: dict[AllOf[Any, Any], _Gathering] = {}
    for operation in batch:
        host_ids = operation.host_ids
        if host_ids is None:
            groups.append([operation])
            gatherings.clear()
            continue
        gathering = None if operation.all_of is None else gatherings.get(operation.all_of)
        if gathering is None or gathering.since & host_ids:
            gathering = _Gathering(len(groups))
            groups.append(gathering.members)
            if operation.all_of is not None:
                gatherings[operation.all_of] = gathering
        gathering.members.append(operation)
        for other in gatherings.values():
            if other.place < gathering.place:
                other.since |= host_ids
    return groups
