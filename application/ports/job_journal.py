"""What the agent must not forget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.records import Record, Tombstone

Apply = Callable[[Record], None]
"""Takes a fact that is durable. Called in the order in which the facts stand in the journal."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a journal is replaced by: facts that amount to the same, and jobs of which less is kept."""

    records: Sequence[Record]
    tombstones: Sequence[Tombstone]
    then: Callable[[], None] = lambda: None
    """Called when it is durable, before anything is appended to it."""


class JobJournal(Protocol):
    """Facts on a disk, in one order, each durable or not there.

    A record that is spoilt is noticed, set aside, and never read as something else.
    """

    @property
    def used_bytes(self) -> int:
        """How large the facts are, the obsolete ones too: whoever knows which are calls `compact`."""
        ...

    @property
    def damage(self) -> str:
        """What was found to be lost when it was opened, in a sentence for people; mostly empty.

        It is said again at every opening until an `EpochBegun` has been appended.
        """
        ...

    async def open(self, apply: Apply) -> None:
        """Read what is there into `apply`, which is kept for what is appended later.

        Raises `StorageUnavailable` where that cannot be done, or where a newer agent wrote it, which
        is then left untouched. Damage raises nothing: what is intact is read.
        """
        ...

    async def append(self, record: Record, *, from_reserve: bool = False) -> None:
        """Return when the fact is durable and has been applied.

        With `from_reserve` it may use the space that is kept back for what a full disk must not
        prevent: ends of jobs, and answers. Facts of one kind of space keep the order of the calls.
        Raises `NoSpace` with nothing written, `Busy` where too much waits for the disk, and
        `StorageUnavailable` where the disk fails: whether the fact is there is then not known before
        the journal is opened again, and every later call fails too. Cancelled, the fact may still
        become durable, and is then applied all the same.
        """
        ...

    async def compact(self, plan: Callable[[], Compaction]) -> None:
        """Replace everything by what `plan` says; it is called while nothing can be appended.

        Tombstones join those that are there. After a crash the facts are the old or the new ones; the
        tombstones may be there before the new ones are, so that a job is in both. Raises as `append`
        does; after `NoSpace` the old facts stay in use.
        """
        ...

    def tombstone(self, job_id: str) -> Tombstone | None:
        """What is kept of a job that is in no record any more; answers in microseconds.

        Raises `StorageUnavailable` where it is not open, or the disk cannot say.
        """
        ...

    async def close(self) -> None:
        """Let go of it; what was appended is durable already. A second call is harmless."""
        ...
