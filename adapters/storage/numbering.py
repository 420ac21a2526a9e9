"""The numbers between the control plane and its hosts, and what goes out under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from adapters.storage.job_rows import CHANGING, NEW_STATE, job_of, job_row, new_state
from adapters.storage.recording import link_row
from adapters.storage.repeated import Repeated
from adapters.storage.tables import GENERATIONS, HOSTS, IS_AWAITED, IS_OPEN, JOBS, LINKS, OUTGOING
from adapters.storage.transaction import Transaction
from domain.errors import NotFound
from domain.fleet import changes
from domain.fleet.host import HostId
from domain.fleet.job import FleetJob
from domain.fleet.link_state import LinkState, Outgoing, OutgoingKind
from domain.link_messages import OutputPosition

_COLUMNS: Final = (OUTGOING.c.seq, OUTGOING.c.kind, JOBS.c.id, JOBS.c.generation, JOBS.c.deadline_s)

_NEW_OUTGOING: Final = Repeated(insert(OUTGOING))
_NEW_GENERATION: Final = Repeated(insert(GENERATIONS))
_HIGHER_GENERATION: Final = Repeated(
    update(GENERATIONS)
    .where(
        GENERATIONS.c.host_id == bindparam("of_host"),
        GENERATIONS.c.project_key == bindparam("of_project"),
    )
    .values(highest=bindparam("new_highest"))
)


def link_of(connection: Connection, host_id: HostId) -> tuple[LinkState, bool]:
    """Where the numbers of a host stand, and whether that is written down."""
    row = connection.execute(select(LINKS).where(LINKS.c.host_id == host_id)).one_or_none()
    if row is None:
        return LinkState(host_id), False
    return LinkState(host_id, row.agent_epoch, row.heard, row.next_seq, row.confirmed), True


def begin_epoch(tx: Transaction, host_id: HostId, agent_epoch: str, *, anew: bool) -> LinkState:
    """See `JobStore`."""
    _require_host(tx, host_id)
    link, is_known = link_of(tx.connection, host_id)
    link = replace(link, agent_epoch=agent_epoch, heard=0)
    if anew:
        link = replace(link, next_seq=1, confirmed=0)
        tx.write(delete(OUTGOING).where(OUTGOING.c.host_id == host_id))
        numbered = (IS_OPEN, JOBS.c.host_id == host_id, JOBS.c.seq.is_not(None))
        tx.write(update(JOBS).where(*numbered).values(seq=None))
    _keep_link(tx, link, is_known=is_known)
    return link


def output_seen(connection: Connection, host_id: HostId) -> Mapping[str, OutputPosition]:
    """See `JobStore`."""
    columns = (JOBS.c.id, JOBS.c.seen_step, JOBS.c.seen_attempt, JOBS.c.seen_offset)
    printing = (JOBS.c.host_id == host_id, JOBS.c.seen_step.is_not(None))
    # Two questions, as each has an index of its own.
    rows = [
        *connection.execute(select(*columns).where(IS_OPEN, *printing)),
        *connection.execute(select(*columns).where(IS_AWAITED, *printing)),
    ]
    return {
        row.id: OutputPosition(row.seen_step, row.seen_attempt, row.seen_offset) for row in rows
    }


def reach_generations(tx: Transaction, host_id: HostId, generations: Mapping[str, int]) -> None:
    """See `JobStore`."""
    _require_host(tx, host_id)
    known = _generations_of(tx, host_id)
    reached: dict[str, int] = {}
    for project, generation in generations.items():
        key = project.lower()
        highest = min(generation, changes.HIGHEST_GENERATION)
        if highest > max(known.get(key, 0), reached.get(key, 0)):
            reached[key] = highest
    _keep_generations(tx, host_id, known, reached)


def number(tx: Transaction, host_id: HostId, at: float) -> Sequence[Outgoing]:
    """See `JobStore`."""
    query = (
        select(JOBS)
        .where(IS_OPEN, JOBS.c.host_id == host_id, JOBS.c.seq.is_(None))
        .order_by(JOBS.c.place)
    )
    rows = tx.connection.execute(query).all()
    if not rows:
        return []
    link, is_known = link_of(tx.connection, host_id)
    known = _generations_of(tx, host_id)
    reached: dict[str, int] = {}
    numbered: list[tuple[FleetJob, int]] = []
    said: list[tuple[Outgoing, int]] = []
    seq = link.next_seq
    for row in rows:
        job = job_of(row)
        generation, key = job.generation, row.project_key
        if generation is None and key is not None and job.kind in CHANGING:
            generation = reached[key] = max(known.get(key, 0), reached.get(key, 0)) + 1
        job = changes.numbered(job, seq, generation, at)
        numbered.append((job, row.place))
        said.append((_command(job, seq), row.place))
        if job.cancel_requested_at is not None:
            seq += 1
            said.append((Outgoing(seq, OutgoingKind.CANCEL, job.id), row.place))
        seq += 1
    tx.repeat(NEW_STATE, [new_state(job, place) for job, place in numbered])
    tx.repeat(_NEW_OUTGOING, [_outgoing_row(host_id, out, place) for out, place in said])
    _keep_generations(tx, host_id, known, reached)
    _keep_link(tx, replace(link, next_seq=seq), is_known=is_known)
    return [out for out, _ in said]


def say_cancel(tx: Transaction, host_id: HostId, place: int) -> None:
    """Give a CANCEL of the job at that place the next number."""
    link, is_known = link_of(tx.connection, host_id)
    row = {
        "host_id": host_id,
        "seq": link.next_seq,
        "kind": OutgoingKind.CANCEL,
        "job": place,
    }
    tx.write(insert(OUTGOING), row)
    _keep_link(tx, replace(link, next_seq=link.next_seq + 1), is_known=is_known)


def outgoing(connection: Connection, host_id: HostId, after: int, limit: int) -> Sequence[Outgoing]:
    """See `JobStore`."""
    query = (
        select(*_COLUMNS)
        .join_from(OUTGOING, JOBS)
        .where(OUTGOING.c.host_id == host_id, OUTGOING.c.seq > after)
        .order_by(OUTGOING.c.seq)
        .limit(limit)
    )
    said = []
    for row in connection.execute(query):
        if row.kind == OutgoingKind.COMMAND:
            kind, generation, deadline_s = OutgoingKind.COMMAND, row.generation, row.deadline_s
        else:
            kind, generation, deadline_s = OutgoingKind.CANCEL, None, None
        said.append(Outgoing(row.seq, kind, row.id, generation, deadline_s))
    return said


def mark_sent(tx: Transaction, job_id: str, at: float) -> bool:
    """See `JobStore`."""
    row = job_row(tx.connection, job_id)
    before = job_of(row)
    if before.is_over or before.cancel_requested_at is not None:
        return False
    job = changes.sent(before, at)
    if job is not before:
        tx.repeat(NEW_STATE, [new_state(job, row.place)])
    return True


def _command(job: FleetJob, seq: int) -> Outgoing:
    return Outgoing(seq, OutgoingKind.COMMAND, job.id, job.generation, job.deadline_s)


def _outgoing_row(host_id: HostId, out: Outgoing, place: int) -> dict[str, object]:
    return {"host_id": host_id, "seq": out.seq, "kind": out.kind, "job": place}


def _keep_link(tx: Transaction, link: LinkState, *, is_known: bool) -> None:
    row = link_row(link)
    if is_known:
        tx.write(update(LINKS).where(LINKS.c.host_id == link.host_id).values(row))
    else:
        tx.write(insert(LINKS), row)


def _generations_of(tx: Transaction, host_id: HostId) -> dict[str, int]:
    query = select(GENERATIONS).where(GENERATIONS.c.host_id == host_id)
    return {row.project_key: row.highest for row in tx.connection.execute(query)}


def _keep_generations(
    tx: Transaction, host_id: HostId, known: Mapping[str, int], reached: Mapping[str, int]
) -> None:
    new = [
        {"host_id": host_id, "project_key": key, "highest": highest}
        for key, highest in reached.items()
        if key not in known
    ]
    tx.repeat(_NEW_GENERATION, new)
    more = [
        {"of_host": host_id, "of_project": key, "new_highest": highest}
        for key, highest in reached.items()
        if key in known
    ]
    tx.repeat(_HIGHER_GENERATION, more)


def _require_host(tx: Transaction, host_id: HostId) -> None:
    if tx.connection.execute(select(HOSTS.c.id).where(HOSTS.c.id == host_id)).first() is None:
        raise NotFound(f"there is no host {host_id[:80]!r}")
