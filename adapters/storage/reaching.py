"""Which hosts are in somebody's reach, and what is of these hosts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, or_, select

from adapters.storage.tables import DEPLOYMENTS, HOST_LABELS, HOSTS, JOBS
from domain.fleet.access import Reach
from domain.fleet.labels import Labels


def has_labels(labels: Labels) -> list[ColumnElement[bool]]:
    """Whether a row of `hosts` is of a host that has them all."""
    return [
        exists().where(
            HOST_LABELS.c.host_id == HOSTS.c.id,
            HOST_LABELS.c.key == key,
            HOST_LABELS.c.value == value,
        )
        for key, value in labels.pairs
    ]


def hosts_within(query: Select[Any], reach: Reach) -> Select[Any]:
    """Those of a query of `hosts`."""
    return query if reach.is_everywhere else query.where(_is_within(reach))


def jobs_within(query: Select[Any], reach: Reach) -> Select[Any]:
    """Those of a query that has `jobs`."""
    if reach.is_everywhere:
        return query
    return query.where(JOBS.c.host_id.in_(select(HOSTS.c.id).where(_is_within(reach))))


def deployments_within(query: Select[Any], reach: Reach) -> Select[Any]:
    """Those of a query of `deployments` of which any job is."""
    if reach.is_everywhere:
        return query
    within = select(HOSTS.c.id).where(_is_within(reach))
    return query.where(
        exists().where(JOBS.c.deployment == DEPLOYMENTS.c.place, JOBS.c.host_id.in_(within))
    )


def _is_within(reach: Reach) -> ColumnElement[bool]:
    return or_(false(), *(and_(*has_labels(labels)) for labels in reach.alternatives))
