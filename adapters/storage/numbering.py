"""The numbers between the control plane and its hosts, and what goes out under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from adapters.storage.generations import Generations
from adapters.storage.job_rows import CHANGING, NEW_STATE, by_values, job_of, job_row, new_state
from adapters.storage.repeated import Repeated
from adapters.storage.standing import NEW_LINK, keep_link, link_of, link_row, links_of
from adapters.storage.statements import among
from adapters.storage.tables import IS_OPEN, JOBS, LINKS, OUTGOING
from adapters.storage.transaction import Transaction
from domain.fleet import changes
from domain.fleet.host import HostId
from domain.fleet.job import FleetJob
from domain.fleet.link_state import LinkState, Numbered, Outgoing, OutgoingKind

MOST_NUMBERED: Final = 2_000
"""Jobs of some hosts together that are given numbers at once."""

_OUTGOING: Final = (
    select(OUTGOING.c.seq.label("number"), OUTGOING.c.kind.label("said"), JOBS)
    .join_from(OUTGOING, JOBS)
    .where(OUTGOING.c.host_id == bindparam("of_host"), OUTGOING.c.seq > bindparam("after"))
    .order_by(OUTGOING.c.seq)
    .limit(bindparam("most"))
)
_WITHOUT_NUMBER: Final = (
    select(JOBS)
    .where(IS_OPEN, among(JOBS.c.host_id), JOBS.c.seq.is_(None))
    .order_by(JOBS.c.host_id, JOBS.c.place)
    .limit(bindparam("most"))
)
_NEW_OUTGOING: Final = Repeated(insert(OUTGOING))
_SAID_TO: Final = Repeated(
    update(LINKS)
    .where(LINKS.c.host_id == bindparam("of_host"))
    .values(next_seq=bindparam("new_next_seq"))
)

_Jobs = Sequence[Row[Any]]


def number_all(tx: Transaction, asked: Sequence[tuple[HostId, float, int]]) -> Sequence[Numbered]:
    """See `JobStore.number`; for each of these hosts, at these moments, and how many."""
    wanted = {host_id: (at, limit) for host_id, at, limit in reversed(asked)}
    by_host, left = _without_number(tx, {host: limit for host, (_, limit) in wanted.items()})
    links = {
        host_id: link
        for some in by_values(by_host)
        for host_id, link in links_of(tx.connection, some).items()
    }
    keys = {row.project_key for rows in by_host.values() for row in rows if needs_generation(row)}
    numbering = _Numbering(Generations(tx, by_host, keys))
    for host_id, rows in by_host.items():
        numbering.number(links.get(host_id, LinkState(host_id)), rows, wanted[host_id][0])
    numbering.write(tx, links)
    outcomes = []
    for host_id, _, _ in asked:
        said = tuple(out for out, _ in numbering.said.pop(host_id, ()))
        outcomes.append(Numbered(said, is_all=host_id not in left))
    return outcomes


def _without_number(
    tx: Transaction, limits: Mapping[HostId, int]
) -> tuple[dict[HostId, _Jobs], set[HostId]]:
    """Jobs that have none, by host; and of which hosts there may be more."""
    found: dict[HostId, _Jobs] = {}
    room = MOST_NUMBERED
    left = set(limits)
    for some in by_values(sorted(limits)):
        rows = tx.connection.execute(_WITHOUT_NUMBER, {"some": some, "most": room + 1}).all()
        by_host = {HostId(key): list(of_host) for key, of_host in groupby(rows[:room], _host_of)}
        found |= {host_id: of_host[: limits[host_id]] for host_id, of_host in by_host.items()}
        more = {host_id for host_id, rows in by_host.items() if len(rows) > limits[host_id]}
        if len(rows) > room:
            # The last one may have more, those behind it have had no turn.
            left.difference_update(set(sorted(by_host)[:-1]) - more)
            return found, left
        left.difference_update(set(some) - more)
        room -= len(rows)
    return found, left


class _Numbering:
    """What a round of numbers has led to."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self._jobs: list[tuple[FleetJob, int]] = []
        self._links: list[LinkState] = []
        self.said: dict[HostId, list[tuple[Outgoing, int]]] = {}

    def number(self, link: LinkState, rows: _Jobs, at: float) -> None:
        said = self.said[link.host_id] = []
        seq = link.next_seq
        for row in rows:
            job = job_of(row)
            generation = job.generation
            if needs_generation(row):
                generation = self._generations.next(link.host_id, row.project_key)
            job = changes.numbered(job, seq, generation, at)
            self._jobs.append((job, row.place))
            said.append((Outgoing.command_of(job, seq), row.place))
            if job.cancel_requested_at is not None:
                seq += 1
                said.append((Outgoing(seq, OutgoingKind.CANCEL, job.id), row.place))
            seq += 1
        self._links.append(replace(link, next_seq=seq))

    def write(self, tx: Transaction, known: dict[HostId, LinkState]) -> None:
        tx.repeat(NEW_STATE, [new_state(job, place) for job, place in self._jobs])
        tx.repeat(
            _NEW_OUTGOING,
            [
                _outgoing_row(host_id, out.seq, out.kind, place)
                for host_id, said in self.said.items()
                for out, place in said
            ],
        )
        self._generations.keep()
        tx.repeat(NEW_LINK, [link_row(one) for one in self._links if one.host_id not in known])
        tx.repeat(
            _SAID_TO,
            [
                {"of_host": one.host_id, "new_next_seq": one.next_seq}
                for one in self._links
                if one.host_id in known
            ],
        )


def say_cancel(tx: Transaction, host_id: HostId, place: int) -> None:
    """Give a CANCEL of the job at that place the next number."""
    link, is_known = link_of(tx.connection, host_id)
    seq = link.next_seq
    tx.repeat(_NEW_OUTGOING, [_outgoing_row(host_id, seq, OutgoingKind.CANCEL, place)])
    keep_link(tx, replace(link, next_seq=seq + 1), is_known=is_known)


def outgoing_of_all(
    connection: Connection, asked: Sequence[tuple[HostId, int, int]]
) -> dict[tuple[HostId, int, int], Sequence[Outgoing]]:
    """See `JobStore.outgoing`; for each host, what has a number above one, and how much of it."""
    return {
        (host_id, after, limit): [
            Outgoing.command_of(job_of(row), row.number)
            if row.said == OutgoingKind.COMMAND
            else Outgoing(row.number, OutgoingKind.CANCEL, row.id)
            for row in connection.execute(
                _OUTGOING, {"of_host": host_id, "after": after, "most": limit}
            )
        ]
        for host_id, after, limit in asked
    }


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


def needs_generation(row: Row[Any]) -> bool:
    """Whether a job has yet to get its place among its project's commands."""
    return row.generation is None and row.project_key is not None and row.kind in CHANGING


def _host_of(row: Row[Any]) -> str:
    host_id: str = row.host_id
    return host_id


def _outgoing_row(host_id: HostId, seq: int, kind: OutgoingKind, place: int) -> dict[str, object]:
    return {"host_id": host_id, "seq": seq, "kind": kind, "job": place}
