"""/api/v1/hosts/{host}/...: commands to one host, each of which becomes a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Response

from domain.commands import (
    CheckHealth,
    Command,
    GetStatus,
    ListProjects,
    ListRevisions,
    PlanCompose,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
    StopCompose,
)
from domain.fleet.access import Permission, Principal
from entrypoints.control_plane.rest import views
from entrypoints.control_plane.rest.answers import accepted_job, shown_all
from entrypoints.control_plane.rest.conditions import (
    HostPath,
    IdempotencyKey,
    PageQuery,
    PreferredWait,
    ProjectPath,
    project_of,
)
from entrypoints.control_plane.rest.deployments import terms
from entrypoints.control_plane.rest.guard import By, GuardedRoute, needs
from entrypoints.control_plane.rest.parts import API, Parts
from entrypoints.control_plane.rest.problems import responses
from entrypoints.control_plane.rest.requests import Content, Removal, Restart, Rollback, Waiting

ASK: Final = needs(Permission.PROJECTS_READ)
PLAN: Final = needs(Permission.PROJECTS_PLAN, brings_content=True)
CHANGE: Final = needs(Permission.PROJECTS_WRITE)
HISTORY: Final = needs(Permission.JOBS_READ)

_HINT: Final = (
    "Answered with 202 and the job. With `Prefer: wait=N` it is answered when the job is over, with "
    "200 and its result; or after N seconds, with 202."
)
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The job is over", "model": views.Job},
    **responses(404, 409),
}


@dataclass(frozen=True, slots=True)
class _Circumstances:
    """Who asks, under which key, and how the answer is wanted."""

    by: Principal
    key: str | None
    wait_s: int
    response: Response


async def _circumstances(
    by: By, key: IdempotencyKey, wait_s: PreferredWait, response: Response
) -> _Circumstances:
    return _Circumstances(by, key, wait_s, response)


Circumstances = Annotated[_Circumstances, Depends(_circumstances)]


class _Asking:
    """How each of the routes below is answered."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(
        self, host: str, command: Command, waiting: Waiting, asked: _Circumstances
    ) -> views.Job:
        agreed = terms(asked.by, waiting, asked.key)
        accepted = await self._parts.submitting.command(host, command, agreed)
        return await accepted_job(self._parts, accepted, asked.wait_s, asked.by, asked.response)


def projects_router(parts: Parts) -> APIRouter:
    """What is done with a project that is there, and asked of a host."""
    router = APIRouter(prefix=f"{API}/hosts/{{host}}", tags=["projects"], route_class=GuardedRoute)
    ask = _Asking(parts)
    _add_changing(router, ask)
    _add_going_back(router, ask)
    _add_asking(router, ask)
    _add_asking_host(router, ask)

    @router.get(
        "/projects/{project}/history",
        dependencies=[HISTORY],
        summary="What was to change a project on this host, the newest first",
        operation_id="show_project_history",
        responses=responses(404),
    )
    async def history(host: HostPath, project: ProjectPath, page: PageQuery) -> views.JobPage:
        found = await parts.jobs.history(host, project, page)
        return views.JobPage(items=await shown_all(parts, found.items), next=found.next)

    return router


def _add_changing(router: APIRouter, ask: _Asking) -> None:
    @router.post(
        "/projects/{project}/stop",
        status_code=202,
        dependencies=[CHANGE],
        summary="Stop a project",
        description=f"Containers and networks go, volumes stay. {_HINT}",
        operation_id="stop_project",
        responses=_RESPONSES,
    )
    async def stop(
        host: HostPath,
        project: ProjectPath,
        asked: Circumstances,
        body: Annotated[Waiting, Body()] = Waiting(),  # noqa: B008,
    ) -> views.Job:
        return await ask(host, StopCompose(project_of(project)), body, asked)

    @router.post(
        "/projects/{project}/restart",
        status_code=202,
        dependencies=[CHANGE],
        summary="Restart a project, or some of its services",
        description=_HINT,
        operation_id="restart_project",
        responses=_RESPONSES,
    )
    async def restart(
        host: HostPath,
        project: ProjectPath,
        asked: Circumstances,
        body: Annotated[Restart, Body()] = Restart(),  # noqa: B008,
    ) -> views.Job:
        command = RestartCompose(project_of(project), tuple(body.services))
        return await ask(host, command, body, asked)


def _add_going_back(router: APIRouter, ask: _Asking) -> None:
    @router.post(
        "/projects/{project}/rollback",
        status_code=202,
        dependencies=[CHANGE],
        summary="Go back to an earlier revision",
        description=_HINT,
        operation_id="roll_project_back",
        responses=_RESPONSES,
    )
    async def rollback(
        host: HostPath,
        project: ProjectPath,
        asked: Circumstances,
        body: Annotated[Rollback, Body()] = Rollback(),  # noqa: B008,
    ) -> views.Job:
        command = RollbackCompose(project_of(project), body.revision)
        return await ask(host, command, body, asked)

    @router.post(
        "/projects/{project}/remove",
        status_code=202,
        dependencies=[CHANGE],
        summary="Take a project off the host",
        description=f"Containers, networks, files and history go; volumes where that is said. {_HINT}",
        operation_id="remove_project",
        responses=_RESPONSES,
    )
    async def remove(
        host: HostPath,
        project: ProjectPath,
        asked: Circumstances,
        body: Annotated[Removal, Body()] = Removal(),  # noqa: B008,
    ) -> views.Job:
        command = RemoveCompose(project_of(project), body.volumes)
        return await ask(host, command, body, asked)


def _add_asking(router: APIRouter, ask: _Asking) -> None:
    @router.post(
        "/projects/{project}/plan",
        status_code=202,
        dependencies=[PLAN],
        summary="Say what a deployment would do, and do nothing of it",
        description=_HINT,
        operation_id="plan_project",
        responses=_RESPONSES,
    )
    async def plan(
        host: HostPath,
        project: ProjectPath,
        body: Content,
        asked: Circumstances,
    ) -> views.Job:
        command = PlanCompose(body.deployment_of(project_of(project)))
        return await ask(host, command, body, asked)

    @router.post(
        "/projects/{project}/status",
        status_code=202,
        dependencies=[ASK],
        summary="Ask what a project should run, and what runs",
        description=_HINT,
        operation_id="ask_project_status",
        responses=_RESPONSES,
    )
    async def status(
        host: HostPath,
        project: ProjectPath,
        asked: Circumstances,
        body: Annotated[Waiting, Body()] = Waiting(),  # noqa: B008,
    ) -> views.Job:
        return await ask(host, GetStatus(project_of(project)), body, asked)

    @router.post(
        "/projects/{project}/revisions",
        status_code=202,
        dependencies=[ASK],
        summary="Ask which revisions a project had",
        description=_HINT,
        operation_id="ask_project_revisions",
        responses=_RESPONSES,
    )
    async def revisions(
        host: HostPath,
        project: ProjectPath,
        asked: Circumstances,
        body: Annotated[Waiting, Body()] = Waiting(),  # noqa: B008,
    ) -> views.Job:
        return await ask(host, ListRevisions(project_of(project)), body, asked)


def _add_asking_host(router: APIRouter, ask: _Asking) -> None:
    @router.post(
        "/projects",
        status_code=202,
        dependencies=[ASK],
        summary="Ask which projects a host has",
        description=_HINT,
        operation_id="ask_host_projects",
        responses=_RESPONSES,
    )
    async def projects(
        host: HostPath,
        asked: Circumstances,
        body: Annotated[Waiting, Body()] = Waiting(),  # noqa: B008,
    ) -> views.Job:
        return await ask(host, ListProjects(), body, asked)

    @router.post(
        "/health",
        status_code=202,
        dependencies=[ASK],
        summary="Ask how the agent, its engine and Compose are",
        description=_HINT,
        operation_id="ask_host_health",
        responses=_RESPONSES,
    )
    async def health(
        host: HostPath,
        asked: Circumstances,
        body: Annotated[Waiting, Body()] = Waiting(),  # noqa: B008,
    ) -> views.Job:
        return await ask(host, CheckHealth(), body, asked)
