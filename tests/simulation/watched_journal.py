"""Everything that any agent of a simulation ever made durable, and that none of it is ever lost."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from adapters.journal.durable_journal import DurableJobJournal
from application.ports.job_journal import Apply, Compaction
from domain.errors import NoSpace
from domain.records import JobAccepted, JobFinished, Record, StepStarting, Tombstone
from tests.simulation.engine import Contents


@dataclass(slots=True)
class History:
    """`facts` is every fact with the moment at which it was known to be durable, in order.

    `look` tells what the engine has of a project, by Compose's name of it.
    """

    counts: Counter[str]
    look: Callable[[str], Contents]
    facts: list[tuple[float, Record]] = field(default_factory=list)
    known: list[Record] = field(default_factory=list)
    """What the file is known to hold."""
    compacting: list[Record] | None = None
    """What it may hold instead."""
    tokens: dict[str, StepStarting] = field(default_factory=dict)
    accepted: list[JobAccepted] = field(default_factory=list)
    projects: dict[str, str] = field(default_factory=dict)
    """Compose's name of it, by job."""
    seen: dict[str, Contents] = field(default_factory=dict)
    """What the engine had when a job was known to have ended."""
    lost: list[str] = field(default_factory=list)
    """What was found to be missing: a promise that was broken."""

    def note(self, record: Record) -> None:
        """A fact is durable that was not before."""
        record = as_read(record)
        self.known.append(record)
        self.facts.append((asyncio.get_running_loop().time(), record))
        if isinstance(record, StepStarting):
            self.tokens[record.token] = record
        elif isinstance(record, JobAccepted):
            self.accepted.append(record)
            self.projects.setdefault(record.job_id, record.project)
        elif isinstance(record, JobFinished):
            self.seen.setdefault(record.job_id, self.look(self.projects.get(record.job_id, "")))

    def opened(self, found: list[Record], damage: str) -> None:
        """A journal was opened, and holds this."""
        self.counts["damaged journals"] += bool(damage)
        for before in (self.known, self.compacting):
            if before is not None and found[: len(before)] == before:
                self.known = before
                break
        else:
            self.lost.append(f"{len(self.known)} facts were durable; found are {found}")
            self.known = []
        self.compacting = None
        for record in found[len(self.known) :]:
            self.counts["facts found that nobody had been told of"] += 1
            self.note(record)

    def compacted(self) -> None:
        """The facts were replaced by those that were planned."""
        assert self.compacting is not None
        self.counts["compactions"] += 1
        self.known, self.compacting = self.compacting, None


def as_read(record: Record) -> Record:
    """The record as it is read again: JSON has lists and no tuples."""
    if isinstance(record, JobFinished) and record.data:
        return replace(record, data=json.loads(json.dumps(record.data)))
    return record


class WatchedJournal:
    """A real `DurableJobJournal`, whose facts `history` gets to know."""

    def __init__(self, journal: DurableJobJournal, history: History) -> None:
        self._journal = journal
        self._history = history

    @property
    def used_bytes(self) -> int:
        return self._journal.used_bytes

    @property
    def damage(self) -> str:
        return self._journal.damage

    async def open(self, apply: Apply) -> None:
        found: list[Record] | None = []

        def watched(record: Record) -> None:
            if found is None:
                self._history.note(record)
            else:
                found.append(record)
            apply(record)

        await self._journal.open(watched)
        assert found is not None
        self._history.opened(found, self.damage)
        found = None

    async def append(self, record: Record, *, from_reserve: bool = False) -> None:
        await self._journal.append(record, from_reserve=from_reserve)

    async def compact(self, plan: Callable[[], Compaction]) -> None:
        def watched() -> Compaction:
            planned = plan()
            records = list(planned.records)
            self._history.compacting = [as_read(record) for record in records]
            self._history.counts["tombstones"] += len(planned.tombstones)

            def then() -> None:
                self._history.compacted()
                planned.then()

            return replace(planned, records=records, then=then)

        try:
            await self._journal.compact(watched)
        except NoSpace:
            self._history.compacting = None
            raise

    def tombstone(self, job_id: str) -> Tombstone | None:
        return self._journal.tombstone(job_id)

    async def close(self) -> None:
        await self._journal.close()
