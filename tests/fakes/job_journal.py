"""A journal in memory, on a disk that a test can fill, break, hold up, and outlive a process with."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from application.ports.job_journal import Apply, Compaction
from domain.errors import Busy, InstaDeployError, NoSpace, StorageUnavailable
from domain.job import is_terminal
from domain.records import EpochBegun, Record, Tombstone

_DIGEST = re.compile(r"[0-9a-f]{64}")


class FakeDisk:
    """What outlives a process: give it to another `FakeJobJournal` to open the journal again.

    Set `is_full` to have compactions, and appends that may not use the reserve, raise `NoSpace`;
    `is_busy` to have such appends raise `Busy`. `fails` breaks a journal at its next write, and at
    `open`; `spoils` too, but what it was to write is durable all the same. With `dies_after` at a
    number, the process dies when so many facts more are durable: the last one is, and nobody is told.
    `damage` is what the next journal finds to be lost, until an `EpochBegun` follows it.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.tombstones: dict[str, Tombstone] = {}
        self.damage = ""
        self.is_full = False
        self.is_busy = False
        self.fails = False
        self.spoils = False
        self.dies_after: int | None = None
        self.writes = 0
        self.is_held = asyncio.Event()
        """Set once a write is held up."""
        self._is_free = asyncio.Event()
        self._is_free.set()
        self._sizes: dict[int, tuple[Record, int]] = {}

    def hold(self) -> None:
        """Have every write take until `release`."""
        self._is_free.clear()

    def release(self) -> None:
        """Let the writes that were held go on, and later ones."""
        self.is_held.clear()
        self._is_free.set()

    async def free_or(self, event: asyncio.Event) -> None:
        """Wait for as long as a write takes, or until the event."""
        if not self._is_free.is_set():
            self.is_held.set()
        waits = [asyncio.create_task(e.wait(), name="disk") for e in (self._is_free, event)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def size_of(self, record: Record) -> int:
        """How many bytes a fact takes."""
        known, size = self._sizes.get(id(record), (None, 0))
        if known is not record:
            size = len(repr(record))
            self._sizes[id(record)] = (record, size)
        return size

    def keep(self, record: Record) -> None:
        """Make a fact durable."""
        self.records.append(record)
        if isinstance(record, EpochBegun):
            self.damage = ""
        if self.dies_after is not None:
            self.dies_after -= 1


@dataclass(slots=True, eq=False)
class _Entry:
    record: Record
    from_reserve: bool
    failure: InstaDeployError | None = None
    is_written: bool = False


class FakeJobJournal:
    """See `JobJournal`. `crashed` is set once its process is dead: its calls then never return."""

    def __init__(self, disk: FakeDisk | None = None) -> None:
        self.disk = FakeDisk() if disk is None else disk
        self.crashed = asyncio.Event()
        self.compactions = 0
        self._apply: Apply | None = None
        self._damage = ""
        self._can_be_read = False
        self._waiting: list[_Entry] = []
        self._writing: list[_Entry] = []
        self._lock = asyncio.Lock()

    @property
    def records(self) -> list[Record]:
        """All that is durable, in order."""
        return self.disk.records

    @property
    def pending(self) -> int:
        """How many appends are not durable yet."""
        return len(self._writing) + len(self._waiting)

    @property
    def used_bytes(self) -> int:
        """See `JobJournal`."""
        return sum(self.disk.size_of(record) for record in self.disk.records)

    @property
    def damage(self) -> str:
        """See `JobJournal`."""
        return self._damage

    def crash(self, *, written: int = 0) -> None:
        """Let the process die: of what is pending only the first `written` facts become durable.

        What waits for it waits until it is cancelled.
        """
        for entry in [*self._writing, *_in_order_of_writing(self._waiting)][:written]:
            self.disk.keep(entry.record)
        self._writing, self._waiting = [], []
        self.crashed.set()

    async def open(self, apply: Apply) -> None:
        """See `JobJournal`."""
        await asyncio.sleep(0)
        if self.disk.fails:
            raise StorageUnavailable("the journal cannot be used: Input/output error")
        self._damage, self._can_be_read = self.disk.damage, True
        for record in list(self.disk.records):
            apply(record)
        self._apply = apply

    async def append(self, record: Record, *, from_reserve: bool = False) -> None:
        """See `JobJournal`."""
        if self.disk.is_busy and not from_reserve:
            raise Busy("the records that wait for the disk hold too much memory")
        entry = _Entry(record, from_reserve)
        self._waiting.append(entry)
        try:
            async with self._lock:
                if not entry.is_written and entry.failure is None:
                    await self._commit()
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
        if entry.failure is not None:
            raise entry.failure

    async def compact(self, plan: Callable[[], Compaction]) -> None:
        """See `JobJournal`."""
        async with self._lock:
            self._require_open()
            planned = plan()
            for tombstone in planned.tombstones:
                assert _DIGEST.fullmatch(tombstone.digest)
                assert is_terminal(tombstone.state)
            cancelled = await self._write_takes_its_time()
            if self.disk.fails:
                self._apply = None
            self._require_open()
            if self.disk.is_full:
                raise NoSpace("no space left on the disk that holds the journal")
            for tombstone in planned.tombstones:
                self.disk.tombstones.setdefault(tombstone.job_id, tombstone)
            self.disk.records[:] = planned.records
            planned.then()
            self.compactions += 1
        if cancelled is not None:
            raise cancelled

    def tombstone(self, job_id: str) -> Tombstone | None:
        """See `JobJournal`."""
        if not self._can_be_read:
            raise StorageUnavailable("the tombstones are not open")
        return self.disk.tombstones.get(job_id)

    async def close(self) -> None:
        """See `JobJournal`."""
        async with self._lock:
            self._apply, self._can_be_read = None, False

    def _require_open(self) -> None:
        if self._apply is None:
            raise StorageUnavailable("the journal is not open, or failed before")

    async def _commit(self) -> None:
        self._writing, self._waiting = _in_order_of_writing(self._waiting), []
        cancelled = await self._write_takes_its_time()
        batch, self._writing = self._writing, []
        for from_reserve in (True, False):
            self._write([entry for entry in batch if entry.from_reserve is from_reserve])
            await self._go_no_further_when_dead()
        if cancelled is not None:
            raise cancelled

    def _write(self, batch: list[_Entry]) -> None:
        if not batch:
            return
        self.disk.writes += 1
        try:
            if self._apply is not None and (self.disk.fails or self.disk.spoils):
                for entry in batch if self.disk.spoils else ():
                    self.disk.keep(entry.record)
                self._apply = None
            self._require_open()
            if self.disk.is_full and not batch[0].from_reserve:
                raise NoSpace("no space left on the disk that holds the journal")
        except StorageUnavailable as exc:
            for entry in batch:
                entry.failure = exc
            return
        for entry in batch:
            self.disk.keep(entry.record)
            if self.disk.dies_after == 0:
                self.crash()
                return
        for entry in batch:
            entry.is_written = True
            assert self._apply is not None
            self._apply(entry.record)

    async def _write_takes_its_time(self) -> asyncio.CancelledError | None:
        """Wait for the disk; a cancellation that comes meanwhile is returned after it."""
        cancelled: asyncio.CancelledError | None = None
        is_over = False
        while not is_over:
            try:
                await asyncio.sleep(0)
                await self.disk.free_or(self.crashed)
                is_over = True
            except asyncio.CancelledError as exc:
                if self.crashed.is_set():
                    raise
                cancelled = exc
        if cancelled is not None and self.crashed.is_set():
            raise cancelled
        await self._go_no_further_when_dead()
        return cancelled

    async def _go_no_further_when_dead(self) -> None:
        if self.crashed.is_set():
            await asyncio.Event().wait()


def _in_order_of_writing(entries: list[_Entry]) -> list[_Entry]:
    return sorted(entries, key=lambda entry: not entry.from_reserve)
