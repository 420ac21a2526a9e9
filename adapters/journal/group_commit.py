"""Many who must wait for the disk wait for it together."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Final

from adapters.cancellation import finish_in_thread
from adapters.journal.framed_log import FramedLog
from domain.errors import Busy

MAX_WAITING_BYTES: Final = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class _Entry:
    payload: bytes
    failure: BaseException | None = None
    is_written: bool = False


class GroupCommit:
    """Whoever comes while the disk is busy is written with the next batch.

    In the order they came, those that may use the reserve before those that may not: a full disk
    fails the others and not them.
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

    async def append(self, payload: bytes, *, from_reserve: bool = False) -> None:
        """Return when the record is on the disk.

        Raises `Busy` where too much waits already, and what `FramedLog.append` raises. Cancelled
        before the disk has begun with it, the record is not written; later, it is, unless that fails.
        """
        if not from_reserve and self._waiting_bytes + len(payload) > self._max_waiting_bytes:
            raise Busy("the records that wait for the disk hold too much memory")
        entry = _Entry(payload)
        line = self._reserved_waiting if from_reserve else self._waiting
        line.append(entry)
        self._waiting_bytes += len(payload)
        try:
            async with self._disk:
                if not entry.is_written and entry.failure is None:
                    await self._commit()
        finally:
            self._waiting_bytes -= len(payload)
            if entry in line:
                line.remove(entry)
        if entry.failure is not None:
            raise entry.failure

    async def _commit(self) -> None:
        batches = ((self._reserved_waiting[:], True), (self._waiting[:], False))
        self._reserved_waiting.clear()
        self._waiting.clear()
        try:
            await finish_in_thread(self._executor, partial(self._write, batches))
        except Exception as exc:  # noqa: BLE001 - no thread could be had: each who waits is told
            for entry in (entry for batch, _ in batches for entry in batch):
                entry.failure = exc

    def _write(self, batches: tuple[tuple[list[_Entry], bool], ...]) -> None:
        for batch, from_reserve in batches:
            if not batch:
                continue
            try:
                self._log.append([entry.payload for entry in batch], from_reserve=from_reserve)
            except Exception as exc:  # noqa: BLE001 - raised to each who waits for it
                for entry in batch:
                    entry.failure = exc
            else:
                for entry in batch:
                    entry.is_written = True
