"""The audit trail in a database. What is noted is written in the transaction of what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update

from adapters.storage.host_rows import names_of
from adapters.storage.pages import newest_first
from adapters.storage.reader import Reader
from adapters.storage.repeated import Repeated
from adapters.storage.tables import AUDIT, BOOK
from adapters.storage.transaction import Transaction
from adapters.storage.writer import Writer
from application.ports.audit_trail import AuditQuery
from domain.fleet.audit import AuditEntry, AuditHead, Noted, chained
from domain.fleet.host import HostId
from domain.fleet.page import Page, PageRequest

_HEAD: Final = select(BOOK.c.audit_number, BOOK.c.audit_hash)
_GO_ON: Final = update(BOOK).values(
    audit_number=bindparam("new_number"), audit_hash=bindparam("new_hash")
)
_NEW: Final = Repeated(insert(AUDIT))


def note(tx: Transaction, noted: Iterable[Noted | None]) -> None:
    """Add these to the trail, in this order; what is None is none.

    Where the host's name is not given, it is the one that it has now.
    """
    wanted = [each for each in noted if each is not None]
    if not wanted:
        return
    head = head_of(tx.connection)
    names = names_of(tx.connection, {one.host_id for one in wanted if one.host_id and not one.host})
    rows = []
    for each in wanted:
        name = "" if each.host_id is None else names.get(each.host_id, "")
        entry = chained(head, replace(each, host=name) if name else each)
        head = AuditHead(entry.number, entry.hash)
        rows.append(_row(entry))
    tx.repeat(_NEW, rows)
    tx.write(_GO_ON, {"new_number": head.number, "new_hash": head.hash})


def head_of(connection: Connection) -> AuditHead:
    """Where the trail ends."""
    book = connection.execute(_HEAD).one()
    return AuditHead(book.audit_number, book.audit_hash)


class SqlAuditTrail:
    """See `AuditTrail`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def note(self, noted: Noted) -> None:
        """See `AuditTrail`."""
        await self._writer.carry_out(lambda tx: note(tx, [noted]), host_ids=())

    async def entries(self, query: AuditQuery, page: PageRequest) -> Page[AuditEntry]:
        """See `AuditTrail`."""
        return await self._reader(lambda connection: _entries(connection, query, page))

    async def after(self, number: int, limit: int) -> Sequence[AuditEntry]:
        """See `AuditTrail`."""
        later = select(AUDIT).where(AUDIT.c.place > number).order_by(AUDIT.c.place).limit(limit)
        return await self._reader(
            lambda connection: [_entry_of(row) for row in connection.execute(later)]
        )

    async def head(self) -> AuditHead:
        """See `AuditTrail`."""
        return await self._reader(head_of)


def _entries(connection: Connection, query: AuditQuery, page: PageRequest) -> Page[AuditEntry]:
    found = select(AUDIT)
    if query.user is not None:
        found = found.where(AUDIT.c.who == query.user)
    if query.host is not None:
        found = found.where(or_(AUDIT.c.host_id == query.host, AUDIT.c.host == query.host))
    if query.project is not None:
        found = found.where(AUDIT.c.project == query.project)
    if query.action is not None:
        found = found.where(AUDIT.c.action == query.action)
    return newest_first(connection, [found], AUDIT.c.place, page, _entry_of)


def _row(entry: AuditEntry) -> dict[str, object]:
    noted = entry.noted
    return {
        "place": entry.number,
        "at": noted.at,
        "who": noted.user,
        "address": noted.address,
        "token_id": noted.token_id,
        "action": noted.action,
        "outcome": noted.outcome,
        "host_id": noted.host_id,
        "host": noted.host,
        "project": noted.project,
        "job_id": noted.job_id,
        "deployment_id": noted.deployment_id,
        "target": noted.target,
        "detail": dict(noted.detail),
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }


def _entry_of(row: Row[Any]) -> AuditEntry:
    noted = Noted(
        at=row.at,
        user=row.who,
        action=row.action,
        address=row.address,
        token_id=row.token_id,
        outcome=row.outcome,
        host_id=None if row.host_id is None else HostId(row.host_id),
        host=row.host,
        project=row.project,
        job_id=row.job_id,
        deployment_id=row.deployment_id,
        target=row.target,
        detail=row.detail,
    )
    return AuditEntry(row.place, noted, row.previous_hash, row.hash)
