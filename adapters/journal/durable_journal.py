"""The job journal on a local disk: a framed log, and the tombstones' file beside it.

Damage is said at every opening until an `EpochBegun` follows it, since only that undoes it: what was
lost is noted in the log behind what is intact, before the damaged file is set aside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Final

from adapters.cancellation import finish_in_thread
from adapters.journal import records as written
from adapters.journal.files import LOCAL_FILES, LocalFiles
from adapters.journal.framed_log import CHUNK_BYTES, RESERVE_BYTES, FramedLog
from adapters.journal.framing import MAX_PAYLOAD_BYTES
from adapters.journal.group_commit import GroupCommit
from adapters.journal.records import DamageNoted
from adapters.journal.tombstones import TombstoneFile
from application.ports.job_journal import Apply, Compaction
from domain.errors import NoSpace, StorageUnavailable
from domain.records import EpochBegun, Record, Tombstone

ROOM_BYTES: Final = 1024 * 1024
"""What may not use the reserve is the beginning of a job, whose steps need room on this disk too."""


class DurableJobJournal:
    """See `JobJournal`. `directory` is the agent's state directory, and made where it is missing."""

    def __init__(
        self,
        directory: Path,
        executor: Executor,
        *,
        reserve_bytes: int = RESERVE_BYTES,
        chunk_bytes: int = CHUNK_BYTES,
        room_bytes: int = ROOM_BYTES,
        files: LocalFiles = LOCAL_FILES,
    ) -> None:
        self._executor = executor
        self._log = FramedLog(
            directory,
            reserve_bytes=reserve_bytes,
            chunk_bytes=chunk_bytes,
            room_bytes=room_bytes,
            files=files,
        )
        self._tombstones = TombstoneFile(directory, files)
        self._commits = GroupCommit(self._log, executor)
        self._apply: Apply | None = None
        self._damage = ""
        self._unsettled: list[DamageNoted] = []
        """What was noted and no `EpochBegun` has followed yet."""

    @property
    def used_bytes(self) -> int:
        """See `JobJournal`."""
        return self._log.used_bytes

    @property
    def damage(self) -> str:
        """See `JobJournal`."""
        return self._damage

    async def open(self, apply: Apply) -> None:
        """See `JobJournal`."""
        recovered = await finish_in_thread(self._executor, self._recover)
        for record in recovered:
            apply(record)
        self._apply = apply

    async def append(self, record: Record, *, from_reserve: bool = False) -> None:
        """See `JobJournal`."""
        payload = written.encode(record)
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"a {type(record).__name__} of {len(payload)} bytes is too large")
        await self._commits.append(
            payload, partial(self._has_become_true, record), from_reserve=from_reserve
        )

    async def compact(self, plan: Callable[[], Compaction]) -> None:
        """See `JobJournal`."""
        async with self._commits.pause():
            self._log.require_open()
            planned = plan()
            await finish_in_thread(self._executor, partial(self._compact, planned))
            planned.then()

    def tombstone(self, job_id: str) -> Tombstone | None:
        """See `JobJournal`. Raises `StorageUnavailable` where the disk cannot say."""
        return self._tombstones.find(job_id)

    async def close(self) -> None:
        """See `JobJournal`."""
        async with self._commits.pause():
            self._log.close()
            self._tombstones.close()

    def _has_become_true(self, record: Record) -> None:
        assert self._apply is not None
        if isinstance(record, EpochBegun):
            self._unsettled = []
        self._apply(record)

    def _compact(self, planned: Compaction) -> None:
        try:
            # A crash in between leaves jobs in both files, and the next compaction finds them there.
            self._tombstones.add(planned.tombstones)
            self._log.rewrite(map(written.encode, (*planned.records, *self._unsettled)))
        except NoSpace:
            raise
        except StorageUnavailable:
            self._log.close()
            raise

    def _recover(self) -> Sequence[Record]:
        facts: list[Record | DamageNoted] = []

        def check(payloads: Sequence[bytes]) -> None:
            facts[:] = map(written.decode, payloads)
            self._tombstones.refuse_newer()

        missing = [_note(f"{self._log.path} is missing")] if self._tombstones.exists else []
        try:
            found = self._log.open(check=check, note=_note, first=missing)
            self._unsettled = _unsettled(facts)
            said = [note.lost for note in self._unsettled]
            if found.damage:
                self._unsettled.append(DamageNoted(found.damage))
                said.append(found.damage)
            lost = self._tombstones.open(is_expected=bool(facts))
            if lost:
                self._unsettled.append(DamageNoted(lost))
                said.append(f"{lost}; {self._put_tombstones_right(lost)}")
        except BaseException:
            self._log.close()
            self._tombstones.close()
            raise
        self._damage = "; ".join(said)
        return [fact for fact in facts if not isinstance(fact, DamageNoted)]

    def _put_tombstones_right(self, lost: str) -> str:
        try:
            self._log.append([_note(lost)], from_reserve=True)
        except NoSpace as exc:
            return f"it could not be set aside: {exc}"
        return self._tombstones.put_right()


def _note(lost: str) -> bytes:
    return written.encode(DamageNoted(lost))


def _unsettled(facts: Sequence[Record | DamageNoted]) -> list[DamageNoted]:
    notes: list[DamageNoted] = []
    for fact in facts:
        if isinstance(fact, EpochBegun):
            notes = []
        elif isinstance(fact, DamageNoted):
            notes.append(fact)
    return notes
