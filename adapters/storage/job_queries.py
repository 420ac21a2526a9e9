"""What operators read of jobs and deployments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, func, select

from adapters.storage.deployment_rows import deployment_of
from adapters.storage.job_rows import (
    FEED_COLUMNS,
    by_values,
    entry_of,
    job_of,
    job_row,
    key_of,
    result_of,
)
from adapters.storage.pages import newest_first
from adapters.storage.reaching import deployments_within, jobs_within
from adapters.storage.statements import among
from adapters.storage.tables import (
    DEPLOYMENTS,
    FEED,
    HAS_NOT_LEFT,
    IS_OPEN,
    JOBS,
    PAYLOADS,
    RESULTS,
)
from application.ports.job_store import JobQuery
from domain.fleet.access import Reach
from domain.fleet.deployment import Deployment
from domain.fleet.host import HostId
from domain.fleet.job import DeploymentId, FeedEntry, FleetJob, FleetJobState, JobResult
from domain.fleet.missing import no_deployment
from domain.fleet.page import Page, PageRequest

MOST_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
"""About what is read of payloads at once."""

_PAYLOAD_PLACES: Final = select(JOBS.c.id, JOBS.c.payload).where(among(JOBS.c.id))
_SEALED: Final = select(PAYLOADS.c.sealed).where(PAYLOADS.c.place == bindparam("of_place"))


def result(connection: Connection, job_id: str) -> JobResult | None:
    """See `JobStore`."""
    job = job_row(connection, job_id)
    row = connection.execute(select(RESULTS).where(RESULTS.c.job == job.place)).one_or_none()
    return None if row is None else result_of(row)


def payloads(connection: Connection, job_ids: Sequence[str]) -> dict[str, bytes | None]:
    """The sealed payloads of jobs, None where there is none; where they are large, not of all.

    Jobs of one deployment get the same object.
    """
    rows = connection.execute(_PAYLOAD_PLACES, {"some": job_ids})
    places: dict[str, int | None] = {row.id: row.payload for row in rows}
    found: dict[str, bytes | None] = {}
    read: dict[int, bytes] = {}
    size = 0
    for job_id in job_ids:
        place = places.get(job_id)
        if place is not None and place not in read:
            if size >= MOST_PAYLOAD_BYTES:
                break
            read[place] = bytes(connection.execute(_SEALED, {"of_place": place}).scalar_one())
            size += len(read[place])
        found[job_id] = None if place is None else read[place]
    return found


def queued(connection: Connection, host_id: HostId, limit: int) -> Sequence[FleetJob]:
    """See `JobStore`."""
    of_host = select(JOBS).where(HAS_NOT_LEFT, JOBS.c.host_id == host_id)
    query = of_host.order_by(JOBS.c.place).limit(limit)
    return [job_of(row) for row in connection.execute(query)]


def unfinished(connection: Connection, host_id: HostId) -> Sequence[FleetJob]:
    """See `JobStore`."""
    sent = (IS_OPEN, JOBS.c.host_id == host_id, JOBS.c.sent_at.is_not(None))
    query = select(JOBS).where(*sent).order_by(JOBS.c.place)
    return [job_of(row) for row in connection.execute(query)]


def jobs(connection: Connection, query: JobQuery, page: PageRequest) -> Page[FleetJob]:
    """See `JobStore`."""
    found = select(JOBS)
    if query.host_id is not None:
        found = found.where(JOBS.c.host_id == query.host_id)
    if query.project is not None:
        # The index is of keys; the few of another spelling are left out of what it finds.
        found = found.where(JOBS.c.project_key == key_of(query.project))
        if query.as_spelled:
            found = found.where(JOBS.c.project == query.project)
    if query.deployment_id is not None:
        found = found.where(JOBS.c.deployment == _place_of(query.deployment_id))
    if query.kinds:
        found = found.where(JOBS.c.kind.in_(sorted(query.kinds)))
    found = jobs_within(found, query.within)
    return newest_first(connection, _by_state(found, query), JOBS.c.place, page, job_of)


def _by_state(found: Select[Any], query: JobQuery) -> list[Select[Any]]:
    if not query.states:
        return [found]
    if (query.host_id, query.project, query.deployment_id) != (None, None, None):
        return [found.where(JOBS.c.state.in_(sorted(query.states)))]
    # The newest of each state are found at once; of all of them together only by sorting them all.
    return [found.where(JOBS.c.state == state) for state in sorted(query.states)]


def deployment(connection: Connection, deployment_id: DeploymentId) -> Deployment:
    """See `JobStore`."""
    query = select(DEPLOYMENTS).where(DEPLOYMENTS.c.id == deployment_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise no_deployment(deployment_id)
    return deployment_of(row)


def deployments(
    connection: Connection, project: str | None, page: PageRequest, within: Reach
) -> Page[Deployment]:
    """See `JobStore`."""
    found = deployments_within(select(DEPLOYMENTS), within)
    if project is not None:
        found = found.where(DEPLOYMENTS.c.project_key == key_of(project))
    return newest_first(connection, [found], DEPLOYMENTS.c.place, page, deployment_of)


def jobs_of(
    connection: Connection, deployment_id: DeploymentId, within: Reach
) -> Sequence[FleetJob]:
    """See `JobStore`."""
    of_it = JOBS.c.deployment == _place_of(deployment_id)
    query = jobs_within(select(JOBS).where(of_it), within).order_by(JOBS.c.place)
    return [job_of(row) for row in connection.execute(query)]


def tallies(
    connection: Connection, deployment_ids: Sequence[DeploymentId], within: Reach
) -> Mapping[DeploymentId, Mapping[FleetJobState, int]]:
    """See `JobStore`."""
    found: dict[DeploymentId, dict[FleetJobState, int]] = {}
    for some in by_values(deployment_ids):
        query = (
            select(DEPLOYMENTS.c.id, JOBS.c.state, func.count(JOBS.c.place).label("jobs"))
            .select_from(DEPLOYMENTS)
            .outerjoin(JOBS, JOBS.c.deployment == DEPLOYMENTS.c.place)
            .where(DEPLOYMENTS.c.id.in_(some))
            .group_by(DEPLOYMENTS.c.id, JOBS.c.state)
        )
        for row in connection.execute(jobs_within(query, within)):
            states = found.setdefault(DeploymentId(row.id), {})
            if row.state is not None:
                states[FleetJobState(row.state)] = row.jobs
    return found


def feed(
    connection: Connection,
    job_id: str | None,
    deployment_id: DeploymentId | None,
    after: int,
    limit: int,
    within: Reach,
) -> Sequence[FeedEntry]:
    """See `JobStore`."""
    query = (
        select(*FEED_COLUMNS)
        .join_from(FEED, JOBS, and_(FEED.c.job == JOBS.c.place))
        .where(FEED.c.number > after)
        .order_by(FEED.c.number)
        .limit(limit)
    )
    if job_id is not None:
        of_it = select(JOBS.c.place).where(JOBS.c.id == job_id).scalar_subquery()
        query = query.where(FEED.c.job == of_it)
    if deployment_id is not None:
        query = query.where(FEED.c.deployment == _place_of(deployment_id))
    return [entry_of(row) for row in connection.execute(jobs_within(query, within))]


def counts(connection: Connection) -> dict[FleetJobState, int]:
    """See `JobStore`."""
    query = select(JOBS.c.state, func.count().label("jobs")).group_by(JOBS.c.state)
    counted = dict.fromkeys(FleetJobState, 0)
    for row in connection.execute(query):
        counted[FleetJobState(row.state)] = row.jobs
    return counted


def oldest_waiting(connection: Connection) -> float | None:
    """See `JobStore`."""
    query = select(JOBS.c.created_at).where(HAS_NOT_LEFT).order_by(JOBS.c.created_at).limit(1)
    oldest: float | None = connection.scalar(query)
    return oldest


def _place_of(deployment_id: DeploymentId) -> object:
    return select(DEPLOYMENTS.c.place).where(DEPLOYMENTS.c.id == deployment_id).scalar_subquery()
