"""The ledger, and the journal that it is never ahead of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from application.ports.clock import Clock
from application.ports.job_journal import Compaction, JobJournal
from domain.errors import InstaDeployError, NoSpace
from domain.ledger import Ledger
from domain.pruning import KEPT_RESULTS, PRUNED, prune
from domain.records import EpochBegun, JobFinished, Record, Tombstone

logger = logging.getLogger(__name__)

COMPACT_AT_BYTES: Final = 4 * 1024 * 1024
FULL_DISK_RETRY_S: Final = 5.0


class JournalFailed(Exception):
    """The journal's disk failed. What is on it is found out by starting again, and only so."""


class JobBook:
    """Writes facts down, and knows what they amount to. `new_epoch` gives random texts."""

    def __init__(
        self,
        *,
        journal: JobJournal,
        clock: Clock,
        new_epoch: Callable[[], str],
        compact_at_bytes: int = COMPACT_AT_BYTES,
    ) -> None:
        self.ledger = Ledger()
        self._journal = journal
        self._clock = clock
        self._new_epoch = new_epoch
        self._listeners: list[Callable[[], None]] = []
        self._compact_at = self._compact_at_least = compact_at_bytes
        self._compact_at_results = 2 * KEPT_RESULTS
        self._is_large = asyncio.Event()
        self._owed: dict[object, float] = {}

    @property
    def owed_since(self) -> float | None:
        """Since when, on the monotonic clock, the disk owes an answer; None where it owes none."""
        return next(iter(self._owed.values()), None)

    @property
    def damage(self) -> str:
        """What was found to be lost when the journal was opened, in a sentence; mostly empty."""
        return self._journal.damage

    async def open(self) -> None:
        """Read the journal; a new one, or one that lost something, begins a new epoch.

        Raises `StorageUnavailable` where it cannot be used, `JournalFailed` where its disk fails.
        """
        await self._journal.open(self._apply)
        if self.damage:
            logger.error("the journal was damaged: %s", self.damage)
        if self.damage or not self.ledger.epoch:
            await self.begin_epoch()
        self._note_size()

    async def close(self) -> None:
        """Let go of the journal."""
        await self._journal.close()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after every fact; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def record(self, record: Record, *, must: bool = False) -> None:
        """Return when the fact is durable and in the ledger.

        What `must` be recorded uses the reserved space, and waits for room where that is used up
        too; anything else raises `NoSpace` or `Busy`. Raises `JournalFailed` where the disk fails.
        """
        while True:
            try:
                with self._asking_the_disk():
                    await self._journal.append(record, from_reserve=must)
                break
            except NoSpace as exc:
                if not must:
                    raise
                if isinstance(record, JobFinished) and record.logs != PRUNED:
                    record = replace(record, logs=PRUNED)
                    continue
                logger.error("%s; a job's progress waits for room", exc)
                await self._clock.sleep(FULL_DISK_RETRY_S)
            except InstaDeployError as exc:
                if exc.code == "busy":
                    raise
                raise JournalFailed(str(exc)) from exc
        self._note_size()

    async def begin_epoch(self) -> None:
        """Forget where both directions of the link stood; what is open or undelivered stays."""
        await self.record(EpochBegun(self._new_epoch()), must=True)

    def tombstone(self, job_id: str) -> Tombstone | None:
        """What is kept of a job that the ledger has forgotten."""
        return self._journal.tombstone(job_id)

    async def keep_small(self) -> None:
        """Compact the journal whenever it has grown; until cancelled."""
        while True:
            await self._is_large.wait()
            self._is_large.clear()
            await self.compact()

    async def compact(self) -> None:
        """Drop what nobody needs any more. On a full disk everything stays as it is."""

        def plan() -> Compaction:
            pruning = prune(self.ledger, self._clock.now().timestamp())
            # The ledger forgets at the same moment as the journal: facts that wait to be appended
            # find both alike.
            forget = partial(self.ledger.forget, pruning.forgotten)
            return Compaction(pruning.records, pruning.tombstones, then=forget)

        try:
            with self._asking_the_disk():
                await self._journal.compact(plan)
        except NoSpace as exc:
            logger.warning("%s; the journal stays as large as it is", exc)
        except InstaDeployError as exc:
            raise JournalFailed(str(exc)) from exc
        self._compact_at = max(self._compact_at_least, 2 * self._journal.used_bytes)
        self._compact_at_results = 2 * max(KEPT_RESULTS, len(self.ledger.finish_order))
        self._is_large.clear()  # What was noted meanwhile was about the journal as it was.

    @contextmanager
    def _asking_the_disk(self) -> Iterator[None]:
        question = object()
        self._owed[question] = self._clock.monotonic()
        try:
            yield
        finally:
            del self._owed[question]

    def _apply(self, record: Record) -> None:
        self.ledger.apply(record)
        for listener in self._listeners[:]:
            listener()

    def _note_size(self) -> None:
        too_many = len(self.ledger.finish_order) > self._compact_at_results
        if self._journal.used_bytes >= self._compact_at or too_many:
            self._is_large.set()
