"""Writes down what agents say: of many hosts at once, in a few statements whatever they have said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, insert, select, update

from adapters.storage.audit import note
from adapters.storage.job_rows import (
    NEW_ENTRY,
    by_values,
    feed_row,
    result_row,
    tracked_of,
)
from adapters.storage.repeated import Repeated
from adapters.storage.standing import NEW_LINK, link_in, link_row
from adapters.storage.statements import among
from adapters.storage.tables import HOSTS, JOBS, LINKS, OUTGOING, PRINTED, RESULTS
from adapters.storage.transaction import Transaction
from domain.errors import InstaDeployError, NotFound
from domain.fleet.hearing import Hearing, TrackedJob
from domain.fleet.host import HostId
from domain.fleet.link_state import Heard, LinkState, Recorded
from domain.fleet.noting import end_noted
from domain.link_messages import OutputChunk

_HEARD_OF_JOB: Final = Repeated(
    update(JOBS)
    .where(JOBS.c.place == bindparam("of_place"))
    .values(
        {
            column: bindparam(f"new_{column}")
            for column in (
                "state",
                "accepted_at",
                "started_at",
                "finished_at",
                "reason",
                "error",
                "superseded_by",
                "awaits_result",
                "seen_step",
                "seen_attempt",
                "seen_offset",
            )
        }
    )
)
_HEARD_OF_LINK: Final = Repeated(
    update(LINKS)
    .where(LINKS.c.host_id == bindparam("of_host"))
    .values(heard=bindparam("new_heard"), confirmed=bindparam("new_confirmed"))
)
_MORE_PRINTED: Final = Repeated(
    update(PRINTED)
    .where(
        PRINTED.c.job == bindparam("of_job"),
        PRINTED.c.step == bindparam("of_step"),
        PRINTED.c.attempt == bindparam("of_attempt"),
    )
    .values(ends_at=bindparam("new_ends_at"))
)
_ACKNOWLEDGED: Final = Repeated(
    delete(OUTGOING).where(
        OUTGOING.c.host_id == bindparam("of_host"), OUTGOING.c.seq <= bindparam("up_to")
    )
)
_HOSTS_WITH_LINKS: Final = (
    select(HOSTS.c.id, LINKS).select_from(HOSTS.outerjoin(LINKS)).where(among(HOSTS.c.id))
)
_JOBS: Final = select(JOBS).where(among(JOBS.c.id))
_PRINTED: Final = select(PRINTED).where(among(PRINTED.c.job))
_NEW_RESULT: Final = Repeated(insert(RESULTS))
_NEW_PRINTED: Final = Repeated(insert(PRINTED))

_Place = tuple[str, str, int]
"""A job's id, a step, and an attempt."""


def record_all(tx: Transaction, heard: Sequence[Heard]) -> Sequence[Recorded | InstaDeployError]:
    """Record each; what cannot be recorded, as its host is unknown, is answered with what to raise."""
    links, new_links = _links_of(tx, {each.host_id for each in heard})
    known = [each for each in heard if each.host_id in links]
    rows = _jobs_of(tx, known)
    tracked = {job_id: tracked_of(row) for job_id, row in rows.items()}
    had = _printed_before(tx, rows, tracked, known)
    before = dict(links)
    hearing = Hearing(tracked, tx.next_number)
    outcomes: list[Recorded | InstaDeployError] = []
    for each in heard:
        link = links.get(each.host_id)
        if link is None:
            outcomes.append(NotFound(f"there is no host {each.host_id!r}"))
            continue
        recorded = hearing.hear(link, each)
        links[each.host_id] = recorded.link
        outcomes.append(recorded)
    _write_links(tx, before, links, new_links)
    _write_jobs(tx, hearing, rows, tracked)
    _write_printed(tx, hearing, rows, tracked, had)
    return outcomes


def _links_of(
    tx: Transaction, host_ids: set[HostId]
) -> tuple[dict[HostId, LinkState], set[HostId]]:
    """Where the numbers stand; and which of the hosts have never spoken."""
    links: dict[HostId, LinkState] = {}
    new: set[HostId] = set()
    for some in by_values(host_ids):
        for row in tx.connection.execute(_HOSTS_WITH_LINKS, {"some": some}):
            host_id = HostId(row.id)
            if row.host_id is None:
                new.add(host_id)
                links[host_id] = LinkState(host_id)
            else:
                links[host_id] = link_in(row)
    return links, new


def _jobs_of(tx: Transaction, heard: Iterable[Heard]) -> dict[str, Row[Any]]:
    ids = {job_id for each in heard for job_id in each.running}
    ids.update(message.job_id for each in heard for message in each.messages)
    rows: dict[str, Row[Any]] = {}
    for some in by_values(ids):
        for row in tx.connection.execute(_JOBS, {"some": some}):
            rows[row.id] = row
    return rows


def _printed_before(
    tx: Transaction,
    rows: Mapping[str, Row[Any]],
    tracked: Mapping[str, TrackedJob],
    heard: Iterable[Heard],
) -> set[_Place]:
    """Read where the output of those ends that print now; returns for which places that is known."""
    printing = {
        rows[message.job_id].place: message.job_id
        for each in heard
        for message in each.messages
        if isinstance(message, OutputChunk) and message.job_id in rows
    }
    had: set[_Place] = set()
    for some in by_values(printing):
        for row in tx.connection.execute(_PRINTED, {"some": some}):
            job_id = printing[row.job]
            tracked[job_id].printed[row.step, row.attempt] = row.ends_at
            had.add((job_id, row.step, row.attempt))
    return had


def _write_links(
    tx: Transaction,
    before: Mapping[HostId, LinkState],
    links: Mapping[HostId, LinkState],
    new_links: set[HostId],
) -> None:
    changed = [link for host_id, link in links.items() if link != before[host_id]]
    tx.repeat(NEW_LINK, [link_row(link) for link in changed if link.host_id in new_links])
    tx.repeat(
        _HEARD_OF_LINK,
        [
            {"of_host": link.host_id, "new_heard": link.heard, "new_confirmed": link.confirmed}
            for link in changed
            if link.host_id not in new_links
        ],
    )
    tx.repeat(
        _ACKNOWLEDGED,
        [
            {"of_host": link.host_id, "up_to": link.confirmed}
            for link in changed
            if link.confirmed != before[link.host_id].confirmed
        ],
    )


def _write_jobs(
    tx: Transaction,
    hearing: Hearing,
    rows: Mapping[str, Row[Any]],
    tracked: Mapping[str, TrackedJob],
) -> None:
    touched = [(rows[job_id].place, tracked[job_id]) for job_id in hearing.touched]
    tx.repeat(_HEARD_OF_JOB, [_heard_of_job(place, each) for place, each in touched])
    tx.repeat(
        _NEW_RESULT,
        [result_row(result, rows[job_id].place) for job_id, result in hearing.results.items()],
    )
    ended = [each.job for _, each in touched if each.job.is_over]
    note(
        tx,
        [
            end_noted(job, job.finished_at or 0.0)
            for job in ended
            if rows[job.id].finished_at is None
        ],
    )
    tx.repeat(
        NEW_ENTRY,
        [
            feed_row(entry, rows[entry.job_id].place, rows[entry.job_id].deployment)
            for entry in hearing.entries
        ],
    )


def _heard_of_job(place: int, tracked: TrackedJob) -> dict[str, object]:
    job, position = tracked.job, tracked.position
    return {
        "of_place": place,
        "new_state": job.state,
        "new_accepted_at": job.accepted_at,
        "new_started_at": job.started_at,
        "new_finished_at": job.finished_at,
        "new_reason": job.reason,
        "new_error": job.error,
        "new_superseded_by": job.superseded_by,
        "new_awaits_result": tracked.awaits_result,
        "new_seen_step": None if position is None else position.step,
        "new_seen_attempt": None if position is None else position.attempt,
        "new_seen_offset": None if position is None else position.offset,
    }


def _write_printed(
    tx: Transaction,
    hearing: Hearing,
    rows: Mapping[str, Row[Any]],
    tracked: Mapping[str, TrackedJob],
    had: set[_Place],
) -> None:
    new: list[dict[str, object]] = []
    more: list[dict[str, object]] = []
    for place in hearing.printed:
        job_id, step, attempt = place
        job = rows[job_id].place
        ends_at = tracked[job_id].printed[step, attempt]
        if place in had:
            more.append(
                {"of_job": job, "of_step": step, "of_attempt": attempt, "new_ends_at": ends_at}
            )
        else:
            new.append({"job": job, "step": step, "attempt": attempt, "ends_at": ends_at})
    tx.repeat(_NEW_PRINTED, new)
    tx.repeat(_MORE_PRINTED, more)
