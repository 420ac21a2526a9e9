"""Many who must wait for the disk wait for it together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Final

from adapters.cancellation import finish_in_thread
from adapters.journal.framed_log import FramedLog
from domain.errors import Busy, StorageUnavailable

MAX_WAITING_BYTES: Final = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class _Entry:
    payload: bytes
    apply: Callable[[], None]
    failure: BaseException | None = None
    is_written: bool = False

    @property
    def is_over(self) -> bool:
        return self.is_written or self.failure is not None


class GroupCommit:
    """Whoever comes while the disk is busy is written with the next batch.

    In the order they came, those that may use the reserve before those that may not: a full disk
    fails the others and not them. In the order in which they then stand in the file, in the event
    loop's thread, each that is on the disk is applied, also where nobody waits for it any more;
    nothing is written, and nobody goes on, before that.
    """

    def __init__(
        self,
        log: FramedLog,
        executor: Executor,
        *,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._log = log
        self._executor = executor
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: list[_Entry] = []
        self._reserved_waiting: list[_Entry] = []
        self._waiting_bytes = 0
        self._disk = asyncio.Lock()

    async def append(
        self, payload: bytes, apply: Callable[[], None], *, from_reserve: bool = False
    ) -> None:
        """Return when the record is on the disk, and `apply` has been called.

        Raises `Busy` where too much waits already, and what `FramedLog.append` raises. Cancelled
        before the disk has begun with it, the record is not written; later, it is, unless that fails.
        An `apply` that raises is the end: what is known is no longer what is written, and every later
        call fails.
        """
        if not from_reserve and self._waiting_bytes + len(payload) > self._max_waiting_bytes:
            raise Busy("the records that wait for the disk hold too much memory")
        entry = _Entry(payload, apply)
        line = self._reserved_waiting if from_reserve else self._waiting
        line.append(entry)
        self._waiting_bytes += len(payload)
        try:
            async with self._disk:
                if not entry.is_over:
                    await self._commit()
        finally:
            self._waiting_bytes -= len(payload)
            if entry in line:
                line.remove(entry)
        if entry.failure is not None:
            raise entry.failure

    @contextlib.asynccontextmanager
    async def pause(self) -> AsyncIterator[None]:
        """All that was begun is written and applied; what comes meanwhile waits."""
        async with self._disk:
            yield

    async def _commit(self) -> None:
        batches = ((self._reserved_waiting[:], True), (self._waiting[:], False))
        entries = [entry for batch, _ in batches for entry in batch]
        self._reserved_waiting.clear()
        self._waiting.clear()
        try:
            await finish_in_thread(self._executor, partial(self._write, batches))
        except Exception as exc:  # noqa: BLE001 - no thread could be had: each who waits is told
            _fail(entries, exc)
        finally:
            # Also where this task was cancelled: the thread has come to its end by now.
            _fail(entries, StorageUnavailable("no thread was left to write to the disk"))
            self._apply([entry for entry in entries if entry.is_written])

    def _apply(self, written: Sequence[_Entry]) -> None:
        for place, entry in enumerate(written):
            try:
                entry.apply()
            except Exception as exc:  # noqa: BLE001 - raised to each who waits for it
                self._log.close()
                for later in written[place:]:
                    later.failure = exc
                return

    def _write(self, batches: tuple[tuple[list[_Entry], bool], ...]) -> None:
        for batch, from_reserve in batches:
            if not batch:
                continue
            try:
                self._log.append([entry.payload for entry in batch], from_reserve=from_reserve)
            except Exception as exc:  # noqa: BLE001 - raised to each who waits for it
                _fail(batch, exc)
            else:
                for entry in batch:
                    entry.is_written = True


def _fail(entries: Sequence[_Entry], exc: Exception) -> None:
    for entry in entries:
        if not entry.is_over:
            entry.failure = exc
