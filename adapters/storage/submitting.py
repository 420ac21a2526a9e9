"""New jobs, and what operators and time do to those that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, bindparam, insert, select

from adapters.storage.audit import note
from adapters.storage.deployment_rows import deployment_row
from adapters.storage.job_rows import (
    NEW_ENTRY,
    NEW_JOB,
    NEW_STATE,
    by_values,
    job_of,
    job_row,
    key_of,
    new_state,
    row_of,
    state_row,
)
from adapters.storage.numbering import say_cancel
from adapters.storage.statements import among
from adapters.storage.tables import (
    DEPLOYMENTS,
    HAS_NOT_LEFT,
    HOSTS,
    IS_OPEN,
    JOBS,
    PAYLOADS,
    REMEMBERED,
)
from adapters.storage.transaction import Transaction
from application.ports.job_store import MOST_EXPIRED, Remembered, Submission, Submitted
from domain.errors import Conflict, NotFound
from domain.fleet import changes
from domain.fleet.audit import Noted
from domain.fleet.deployment import Deployment
from domain.fleet.host import HostId
from domain.fleet.job import FleetJob, FleetJobState
from domain.fleet.noting import end_noted

_REMEMBERED: Final = select(REMEMBERED).where(
    REMEMBERED.c.principal == bindparam("of_principal"), REMEMBERED.c.key == bindparam("of_key")
)
_REMEMBER: Final = insert(REMEMBERED)
_LIVE_HOSTS: Final = select(HOSTS.c.id).where(among(HOSTS.c.id), HOSTS.c.revoked_at.is_(None))
_JOB_IDS: Final = select(JOBS.c.id).where(among(JOBS.c.id))
_DEPLOYMENT: Final = select(DEPLOYMENTS.c.place).where(DEPLOYMENTS.c.id == bindparam("of_id"))
_ADD_DEPLOYMENT: Final = insert(DEPLOYMENTS)
_ADD_PAYLOAD: Final = insert(PAYLOADS)
_HAVE_NOT_LEFT: Final = (
    select(JOBS).where(HAS_NOT_LEFT, among(JOBS.c.host_id)).order_by(JOBS.c.place)
)


def submit(tx: Transaction, submission: Submission) -> Submitted:
    """See `JobStore`."""
    jobs = submission.jobs
    if submission.remembered is not None:
        before = _answered_before(tx, submission.remembered)
        if before is not None:
            return Submitted((), answered_before=before)
    _require_hosts(tx, {job.host_id for job in jobs})
    _require_new(tx, [job.id for job in jobs])
    if submission.remembered is not None:
        _remember(tx, submission.remembered, jobs[0].created_at)
    deployment = None
    if submission.deployment is not None:
        deployment = _add_deployment(tx, submission.deployment)
    superseded = _supersede(tx, jobs)
    payload = tx.next_number()
    tx.write(_ADD_PAYLOAD, {"place": payload, "sealed": submission.payload})
    places = [tx.next_number() for _ in jobs]
    placed = list(zip(jobs, places, strict=True))
    tx.repeat(NEW_JOB, [row_of(job, place, payload, deployment) for job, place in placed])
    tx.repeat(
        NEW_ENTRY,
        [
            state_row(job, tx.next_number(), job.created_at, place, deployment)
            for job, place in placed
        ],
    )
    note(tx, submission.noted)
    return Submitted(jobs, tuple(superseded))


def request_cancel(tx: Transaction, job_id: str, at: float, noted: Noted | None = None) -> FleetJob:
    """See `JobStore`."""
    row = job_row(tx.connection, job_id)
    before = job_of(row)
    job = changes.asked_to_end(before, at)
    if job is not before:
        note(tx, [noted])
    change(tx, [(row, before, job)], at)
    if job is not before and not job.is_over and job.seq is not None:
        say_cancel(tx, job.host_id, row.place)
    return job


def end(
    tx: Transaction, job_id: str, state: FleetJobState, at: float, *, reason: str, error: str
) -> FleetJob:
    """See `JobStore`."""
    row = job_row(tx.connection, job_id)
    before = job_of(row)
    job = changes.ended(before, state, at, reason=reason, error=error)
    change(tx, [(row, before, job)], at)
    return job


def expire(tx: Transaction, now: float) -> Sequence[FleetJob]:
    """See `JobStore`."""
    late = (
        select(JOBS)
        .where(HAS_NOT_LEFT, JOBS.c.expires_at <= now)
        .order_by(JOBS.c.expires_at, JOBS.c.place)
        .limit(MOST_EXPIRED)
    )
    return change_all(tx, tx.connection.execute(late).all(), changes.expired, now)


def end_all_of(tx: Transaction, host_id: HostId, at: float) -> Sequence[FleetJob]:
    """End what is not over of a host that is revoked."""
    open_jobs = select(JOBS).where(IS_OPEN, JOBS.c.host_id == host_id).order_by(JOBS.c.place)
    return change_all(tx, tx.connection.execute(open_jobs).all(), changes.revoked, at)


def change_all(
    tx: Transaction,
    rows: Iterable[Row[Any]],
    to: Callable[[FleetJob, float], FleetJob],
    at: float,
) -> Sequence[FleetJob]:
    """Change the jobs of these rows; returns those that have changed, as they are now."""
    pairs = [(row, before, to(before, at)) for row in rows for before in [job_of(row)]]
    changed = [pair for pair in pairs if pair[2] is not pair[1]]
    change(tx, changed, at)
    return [job for _, _, job in changed]


def change(
    tx: Transaction, changed: Sequence[tuple[Row[Any], FleetJob, FleetJob]], at: float
) -> None:
    """Keep jobs as they are now, and say in their feeds in what state that is, where it is another."""
    tx.repeat(
        NEW_STATE,
        [new_state(job, row.place) for row, before, job in changed if job is not before],
    )
    tx.repeat(
        NEW_ENTRY,
        [
            state_row(job, tx.next_number(), at, row.place, row.deployment)
            for row, before, job in changed
            if job.state is not before.state
        ],
    )
    note(
        tx,
        [end_noted(job, at) for _, before, job in changed if job.is_over and not before.is_over],
    )


def _answered_before(tx: Transaction, asked: Remembered) -> Remembered | None:
    of_it = {"of_principal": asked.principal, "of_key": asked.key}
    row = tx.connection.execute(_REMEMBERED, of_it).one_or_none()
    if row is None:
        return None
    if row.digest != asked.digest:
        raise Conflict("Idempotency-Key: it was used for another request")
    return Remembered(row.key, row.principal, row.digest, row.answer)


def _remember(tx: Transaction, asked: Remembered, at: float) -> None:
    row = {
        "principal": asked.principal,
        "key": asked.key,
        "digest": asked.digest,
        "answer": asked.answer,
        "at": at,
    }
    tx.write(_REMEMBER, row)


def _require_hosts(tx: Transaction, host_ids: set[HostId]) -> None:
    missing = set(host_ids)
    for some in by_values(host_ids):
        missing -= set(tx.connection.scalars(_LIVE_HOSTS, {"some": some}))
    if missing:
        raise NotFound(f"there is no host {', '.join(sorted(missing))}, or it was revoked")


def _require_new(tx: Transaction, job_ids: Sequence[str]) -> None:
    if len(set(job_ids)) != len(job_ids):
        raise Conflict("job: two have the same id")
    for some in by_values(job_ids):
        for taken in tx.connection.scalars(_JOB_IDS, {"some": some}):
            raise Conflict(f"job: there is one with the id {taken}")


def _add_deployment(tx: Transaction, deployment: Deployment) -> int:
    if tx.connection.execute(_DEPLOYMENT, {"of_id": deployment.id}).first() is not None:
        raise Conflict(f"deployment: there is one with the id {deployment.id}")
    place = tx.next_number()
    tx.write(_ADD_DEPLOYMENT, deployment_row(deployment, place))
    return place


def _supersede(tx: Transaction, jobs: Sequence[FleetJob]) -> list[str]:
    newer: Mapping[tuple[HostId, str | None], FleetJob] = {
        (job.host_id, key_of(job.project)): job for job in jobs if changes.is_deployment(job)
    }
    changed = []
    for some in by_values({host_id for host_id, _ in newer}):
        for row in tx.connection.execute(_HAVE_NOT_LEFT, {"some": some}):
            job = newer.get((HostId(row.host_id), row.project_key))
            before = job_of(row)
            if job is not None and changes.takes_the_place_of(job, before):
                changed.append((row, before, changes.superseded(before, job)))
    if changed:
        change(tx, changed, jobs[0].created_at)
    return [job.id for _, _, job in changed]
