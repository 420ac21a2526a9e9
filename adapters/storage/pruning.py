"""Forgets what is old: payloads, output and logs; that there was a job, and what became of it, stays."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, exists, select, update

from adapters.storage.job_rows import CHANGING, by_values
from adapters.storage.tables import (
    FEED,
    IS_PRUNABLE,
    JOBS,
    PAYLOADS,
    PRINTED,
    REMEMBERED,
    RESULTS,
)
from adapters.storage.transaction import Transaction
from domain.fleet.job import FeedKind


def prune(tx: Transaction, ended_before: float, limit: int) -> int:
    """See `JobStore`."""
    old_keys = REMEMBERED.c.at < ended_before
    if tx.connection.execute(select(REMEMBERED.c.at).where(old_keys).limit(1)).first() is not None:
        tx.write(delete(REMEMBERED).where(old_keys))
    query = (
        select(JOBS.c.place, JOBS.c.payload)
        .where(IS_PRUNABLE, JOBS.c.finished_at < ended_before)
        .order_by(JOBS.c.finished_at, JOBS.c.place)
        .limit(limit)
    )
    old = tx.connection.execute(query).all()
    for places in by_values(row.place for row in old):
        _forget(tx, places)
    for payloads in by_values({row.payload for row in old}):
        used = exists().where(JOBS.c.payload == PAYLOADS.c.place)
        tx.write(delete(PAYLOADS).where(PAYLOADS.c.place.in_(payloads), ~used))
    return len(old)


def _forget(tx: Transaction, places: Sequence[int]) -> None:
    printed = (FEED.c.job.in_(places), FEED.c.kind != FeedKind.STATE)
    tx.write(delete(FEED).where(*printed))
    of_them = JOBS.c.place.in_(places)
    nothing = {"seen_step": None, "seen_attempt": None, "seen_offset": None}
    tx.write(update(JOBS).where(of_them).values(payload=None, awaits_result=False, **nothing))
    tx.write(delete(PRINTED).where(PRINTED.c.job.in_(places)))
    results = RESULTS.c.job.in_(places)
    tx.write(update(RESULTS).where(results).values(logs="", output=[]))
    only_read = select(JOBS.c.place).where(of_them, JOBS.c.kind.not_in(sorted(CHANGING)))
    tx.write(update(RESULTS).where(RESULTS.c.job.in_(only_read)).values(data={}))
