"""Deployments as rows, and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from domain.fleet.deployment import Deployment
from domain.fleet.job import DeploymentId
from domain.fleet.labels import Labels, Selector


def deployment_row(deployment: Deployment, place: int) -> dict[str, object]:
    """The row of a deployment that is new."""
    selector = deployment.selector
    return {
        "place": place,
        "id": deployment.id,
        "project": deployment.project,
        "project_key": deployment.project.lower(),
        "selector": {"hosts": selector.hosts, "labels": selector.labels.as_mapping()},
        "digest": deployment.digest,
        "created_at": deployment.created_at,
        "requested_by": deployment.requested_by,
        "redeploy_of": deployment.redeploy_of,
        "summary": deployment.summary,
    }


def deployment_of(row: Row[Any]) -> Deployment:
    """The deployment of a row of `DEPLOYMENTS`."""
    selector = row.selector
    return Deployment(
        id=DeploymentId(row.id),
        project=row.project,
        selector=Selector(tuple(selector["hosts"]), Labels.of(selector["labels"])),
        digest=row.digest,
        created_at=row.created_at,
        requested_by=row.requested_by,
        redeploy_of=None if row.redeploy_of is None else DeploymentId(row.redeploy_of),
        summary=row.summary,
    )
