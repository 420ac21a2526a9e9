"""/api/v1/jobs."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from application.control_plane.jobs import JobFilter
from domain.commands import COMMAND_NAMES
from domain.errors import NotFound
from domain.fleet.access import Permission
from domain.fleet.job import FleetJobState
from entrypoints.control_plane.rest import views
from entrypoints.control_plane.rest.answers import changed, shown, shown_all
from entrypoints.control_plane.rest.conditions import (
    HostQuery,
    IdPath,
    IdQuery,
    PageQuery,
    ProjectQuery,
    ResumeAfter,
)
from entrypoints.control_plane.rest.feeds import (
    FEED_DESCRIPTION,
    FEED_RESPONSE,
    events_of,
    output_of,
)
from entrypoints.control_plane.rest.guard import By, GuardedRoute, needs
from entrypoints.control_plane.rest.held_response import HeldResponse
from entrypoints.control_plane.rest.parts import API, Parts
from entrypoints.control_plane.rest.problems import invalid, responses

READ: Final = needs(Permission.JOBS_READ)
CANCEL: Final = needs(Permission.JOBS_CANCEL)
KINDS: Final = sorted(COMMAND_NAMES.values())

OUTPUT_RESPONSE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The output that is kept",
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

StateQuery = Annotated[
    list[FleetJobState] | None, Query(description="Given again, any of them", max_length=16)
]
KindQuery = Annotated[
    list[str] | None,
    Query(
        description="Commands, by their names on the wire; given again, any of them",
        max_length=16,
        json_schema_extra={"items": {"type": "string", "enum": KINDS}},
    ),
]


def jobs_router(parts: Parts) -> APIRouter:
    """Commands to hosts, one by one."""
    router = APIRouter(prefix=f"{API}/jobs", tags=["jobs"], route_class=GuardedRoute)
    _add_reading(router, parts)
    _add_details(router, parts)
    return router


def _add_reading(router: APIRouter, parts: Parts) -> None:
    @router.get(
        "",
        dependencies=[READ],
        summary="List jobs, the newest first",
        operation_id="list_jobs",
        responses=responses(404),
    )
    async def list_all(
        page: PageQuery,
        by: By,
        host: HostQuery = None,
        project: ProjectQuery = None,
        deployment: IdQuery = None,
        state: StateQuery = None,
        kind: KindQuery = None,
    ) -> views.JobPage:
        if unknown := set(kind or ()) - set(KINDS):
            raise invalid("kind", f"must be of {', '.join(KINDS)}, not {len(unknown)} others")
        wanted = JobFilter(
            host=host,
            project=project,
            deployment_id=deployment,
            states=frozenset(state or ()),
            kinds=frozenset(kind or ()),
            within=by.reach(Permission.JOBS_READ),
        )
        found = await parts.jobs.list(wanted, page)
        return views.JobPage(items=await shown_all(parts, found.items), next=found.next)

    @router.get(
        "/{job_id}",
        dependencies=[READ],
        summary="Show a job, with its result where there is one",
        operation_id="show_job",
        responses=responses(404),
    )
    async def show(job_id: IdPath) -> views.Job:
        return await shown(parts, await parts.jobs.show(job_id))

    @router.post(
        "/{job_id}/cancel",
        status_code=202,
        dependencies=[CANCEL],
        summary="Cancel a job",
        description="One that is over stays as it is. 409 where its agent speaks protocol v1 and has "
        "the command.",
        operation_id="cancel_job",
        responses=responses(404, 409),
    )
    async def cancel(job_id: IdPath, by: By) -> views.Job:
        return await changed(parts, await parts.jobs.cancel(job_id, by))


def _add_details(router: APIRouter, parts: Parts) -> None:
    @router.get(
        "/{job_id}/result",
        dependencies=[READ],
        summary="What the agent said at the end",
        description="404 while the job is not over, and where its agent has said nothing.",
        operation_id="show_job_result",
        responses=responses(404),
    )
    async def result(job_id: IdPath) -> views.Result:
        found = await parts.jobs.result(job_id)
        if found is None:
            raise NotFound(f"job {job_id} has no result")
        return views.Result.of(found)

    @router.get(
        "/{job_id}/output",
        dependencies=[READ],
        summary="What the job has printed, as text",
        description="Control characters are shown as `\\x1b` and not acted upon; with `raw`, it is "
        "the bytes as they came.",
        operation_id="show_job_output",
        response_class=HeldResponse,
        status_code=200,
        responses=OUTPUT_RESPONSE | responses(404),
    )
    async def output(
        job_id: IdPath,
        by: By,
        raw: Annotated[bool, Query()] = False,  # noqa: FBT002
    ) -> HeldResponse:
        await parts.jobs.show(job_id)
        return output_of(parts, parts.following.output(job_id), by, raw=raw)

    @router.get(
        "/{job_id}/feed",
        status_code=200,
        dependencies=[READ],
        summary="Follow a job live",
        description=FEED_DESCRIPTION,
        operation_id="follow_job",
        response_class=HeldResponse,
        responses=FEED_RESPONSE | responses(404),
    )
    async def follow(job_id: IdPath, after: ResumeAfter, by: By) -> HeldResponse:
        feed = await parts.following.job(job_id, after, by.reach(Permission.JOBS_READ))
        return events_of(parts, feed, by, of_deployment=False)
