"""Where things stand with hosts: their numbers, what they are owed, and how they begin anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from adapters.storage.generations import Generations
from adapters.storage.repeated import Repeated
from adapters.storage.statements import among
from adapters.storage.tables import HOSTS, IS_AWAITED, IS_OPEN, JOBS, LINKS, OUTGOING
from adapters.storage.transaction import Transaction
from domain.fleet.host import HostId
from domain.fleet.link_state import LinkState, Standing
from domain.fleet.missing import no_host
from domain.link_messages import OutputPosition

NEW_LINK: Final = Repeated(insert(LINKS))
"""See `link_row`."""
_LINK: Final = select(LINKS).where(LINKS.c.host_id == bindparam("of_host"))
_LINKS: Final = select(LINKS).where(among(LINKS.c.host_id))
_SEEN: Final = (JOBS.c.seen_step, JOBS.c.seen_attempt, JOBS.c.seen_offset)
_PRINTING: Final = tuple(
    select(JOBS.c.host_id, JOBS.c.id, *_SEEN).where(
        are_these, among(JOBS.c.host_id), JOBS.c.seen_step.is_not(None)
    )
    # Two questions, as each has an index of its own.
    for are_these in (IS_OPEN, IS_AWAITED)
)
_OWED: Final = (
    select(JOBS.c.host_id).where(IS_OPEN, among(JOBS.c.host_id), JOBS.c.seq.is_(None)).distinct(),
    select(OUTGOING.c.host_id).where(among(OUTGOING.c.host_id)).distinct(),
)


def link_of(connection: Connection, host_id: HostId) -> tuple[LinkState, bool]:
    """Where the numbers of a host stand, and whether that is written down."""
    row = connection.execute(_LINK, {"of_host": host_id}).one_or_none()
    return (LinkState(host_id), False) if row is None else (link_in(row), True)


def links_of(connection: Connection, host_ids: Sequence[HostId]) -> dict[HostId, LinkState]:
    """Those that are written down, of these hosts."""
    rows = connection.execute(_LINKS, {"some": host_ids})
    return {HostId(row.host_id): link_in(row) for row in rows}


def link_in(row: Row[Any]) -> LinkState:
    """The numbers in a row of `LINKS`."""
    return LinkState(HostId(row.host_id), row.agent_epoch, row.heard, row.next_seq, row.confirmed)


def link_row(link: LinkState) -> dict[str, object]:
    """The row of where the numbers stand."""
    return {
        "host_id": link.host_id,
        "agent_epoch": link.agent_epoch,
        "heard": link.heard,
        "next_seq": link.next_seq,
        "confirmed": link.confirmed,
    }


def keep_link(tx: Transaction, link: LinkState, *, is_known: bool) -> None:
    """Write down where the numbers stand."""
    row = link_row(link)
    if is_known:
        tx.write(update(LINKS).where(LINKS.c.host_id == link.host_id).values(row))
    else:
        tx.repeat(NEW_LINK, [row])


def standings(connection: Connection, host_ids: Sequence[HostId]) -> dict[HostId, Standing]:
    """See `JobStore.standing`; of all these hosts."""
    links = links_of(connection, host_ids)
    seen: dict[HostId, dict[str, OutputPosition]] = {}
    for query in _PRINTING:
        for row in connection.execute(query, {"some": host_ids}):
            position = OutputPosition(row.seen_step, row.seen_attempt, row.seen_offset)
            seen.setdefault(HostId(row.host_id), {})[row.id] = position
    owed = {host_id for query in _OWED for host_id in connection.scalars(query, {"some": host_ids})}
    return {
        host_id: Standing(
            links.get(host_id, LinkState(host_id)), seen.get(host_id, {}), host_id in owed
        )
        for host_id in host_ids
    }


def begin_epoch(
    tx: Transaction, host_id: HostId, agent_epoch: str, generations: Mapping[str, int]
) -> LinkState:
    """See `JobStore`."""
    _require_host(tx, host_id)
    is_known = link_of(tx.connection, host_id)[1]
    link = LinkState(host_id, agent_epoch)
    tx.write(delete(OUTGOING).where(OUTGOING.c.host_id == host_id))
    has_left = JOBS.c.seq.is_not(None) | JOBS.c.sent_at.is_not(None)
    # Its agent may have carried it out, and only the agent can say so: it is sent again, however late.
    left = update(JOBS).where(IS_OPEN, JOBS.c.host_id == host_id, has_left)
    tx.write(left.values(seq=None, expires_at=None))
    keep_link(tx, link, is_known=is_known)
    if generations:
        reached = Generations(tx, [host_id], {project.lower() for project in generations})
        for project, generation in generations.items():
            reached.reach(host_id, project.lower(), generation)
        reached.keep()
    return link


def _require_host(tx: Transaction, host_id: HostId) -> None:
    """Raise `NotFound` where there is none of this id."""
    if tx.connection.execute(select(HOSTS.c.id).where(HOSTS.c.id == host_id)).first() is None:
        raise no_host(host_id)
