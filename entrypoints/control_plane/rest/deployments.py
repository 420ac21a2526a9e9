"""/api/v1/deployments."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Body, Response

from application.control_plane.submitting import Terms
from domain.fleet.access import Permission, Principal
from entrypoints.control_plane.rest import views
from entrypoints.control_plane.rest.answers import accepted_deployment, changed_with_jobs, with_jobs
from entrypoints.control_plane.rest.conditions import (
    IdempotencyKey,
    IdPath,
    PageQuery,
    ProjectQuery,
    ResumeAfter,
    project_of,
)
from entrypoints.control_plane.rest.feeds import FEED_DESCRIPTION, FEED_RESPONSE, events_of
from entrypoints.control_plane.rest.guard import By, GuardedRoute, needs
from entrypoints.control_plane.rest.held_response import HeldResponse
from entrypoints.control_plane.rest.parts import API, Parts
from entrypoints.control_plane.rest.problems import responses
from entrypoints.control_plane.rest.requests import NewDeployment, Redeployment, Waiting

READ: Final = needs(Permission.DEPLOYMENTS_READ)
CONTENT: Final = needs(Permission.DEPLOYMENTS_CONTENT)
WRITE: Final = needs(Permission.DEPLOYMENTS_WRITE)
BRING: Final = needs(Permission.DEPLOYMENTS_WRITE, brings_content=True)


def deployments_router(parts: Parts) -> APIRouter:
    """What is to run where."""
    router = APIRouter(prefix=f"{API}/deployments", tags=["deployments"], route_class=GuardedRoute)
    _add_changing(router, parts)
    _add_reading(router, parts)
    return router


def _add_changing(router: APIRouter, parts: Parts) -> None:
    @router.post(
        "",
        status_code=202,
        dependencies=[BRING],
        summary="Deploy a project to hosts",
        description="One job for each host, at most 10,000 where hosts are named; all of them are in the "
        "answer. Hosts that are offline get it when they come.",
        operation_id="create_deployment",
        responses=responses(404, 409),
    )
    async def create(
        body: NewDeployment, by: By, key: IdempotencyKey, response: Response
    ) -> views.DeploymentWithJobs:
        command = body.deployment_of(project_of(body.project))
        accepted = await parts.submitting.deploy(body.selector(), command, terms(by, body, key))
        return await accepted_deployment(parts, accepted, response)

    @router.post(
        "/{deployment_id}/redeploy",
        status_code=202,
        dependencies=[WRITE],
        summary="Deploy the same content again",
        description="To the same hosts, or to others. 409 where the content is not kept any more.",
        operation_id="redeploy",
        responses=responses(404, 409),
    )
    async def redeploy(
        deployment_id: IdPath,
        by: By,
        key: IdempotencyKey,
        response: Response,
        body: Annotated[Redeployment, Body()] = Redeployment(),  # noqa: B008,
    ) -> views.DeploymentWithJobs:
        accepted = await parts.deployments.redeploy(
            deployment_id,
            body.selector() if body.is_given else None,
            terms(by, body, key),
        )
        return await accepted_deployment(parts, accepted, response)

    @router.post(
        "/{deployment_id}/cancel",
        status_code=202,
        dependencies=[WRITE],
        summary="Cancel a deployment on all hosts where it is not over",
        description="A host whose agent speaks protocol v1 and has the command carries it through.",
        operation_id="cancel_deployment",
        responses=responses(404),
    )
    async def cancel(deployment_id: IdPath, by: By) -> views.DeploymentWithJobs:
        view, jobs = await parts.deployments.cancel(deployment_id, by)
        return await changed_with_jobs(parts, view, jobs)


def _add_reading(router: APIRouter, parts: Parts) -> None:
    @router.get(
        "",
        dependencies=[READ],
        summary="List deployments, the newest first",
        operation_id="list_deployments",
    )
    async def list_all(
        page: PageQuery, by: By, project: ProjectQuery = None
    ) -> views.DeploymentPage:
        found = await parts.deployments.list(project, page, by.reach(Permission.DEPLOYMENTS_READ))
        return views.DeploymentPage(
            items=[views.Deployment.of(view) for view in found.items], next=found.next
        )

    @router.get(
        "/{deployment_id}",
        dependencies=[READ],
        summary="Show a deployment, with the first of its jobs",
        description="`jobs_by_state` counts all of its jobs; `/jobs?deployment=<id>` lists them, with "
        "`state=failed` those that have failed.",
        operation_id="show_deployment",
        responses=responses(404),
    )
    async def show(deployment_id: IdPath, by: By) -> views.DeploymentWithJobs:
        view, jobs = await parts.deployments.show(
            deployment_id, by.reach(Permission.DEPLOYMENTS_READ)
        )
        return await with_jobs(parts, view, jobs)

    @router.get(
        "/{deployment_id}/content",
        dependencies=[CONTENT],
        summary="Show what a deployment brought",
        description="The compose file; of variables and files only by what two can be compared: equal "
        "`fingerprint`s mean equal content. 409 where it is not kept any more.",
        operation_id="show_deployment_content",
        responses=responses(404, 409),
    )
    async def content(deployment_id: IdPath) -> views.DeploymentContent:
        command = await parts.deployments.content(deployment_id)
        return views.DeploymentContent.of(command, parts.fingerprint)

    @router.get(
        "/{deployment_id}/feed",
        status_code=200,
        dependencies=[READ],
        summary="Follow a deployment live",
        description=FEED_DESCRIPTION,
        operation_id="follow_deployment",
        response_class=HeldResponse,
        responses=FEED_RESPONSE | responses(404),
    )
    async def follow(deployment_id: IdPath, after: ResumeAfter, by: By) -> HeldResponse:
        feed = await parts.following.deployment(
            deployment_id, after, by.reach(Permission.DEPLOYMENTS_READ)
        )
        return events_of(parts, feed, by, of_deployment=True)


def terms(by: Principal, waiting: Waiting, key: str | None) -> Terms:
    """The conditions of a request; raises `InvalidInput`."""
    return Terms(by=by, ttl_s=waiting.ttl_s, deadline_s=waiting.deadline_s, key=key)
