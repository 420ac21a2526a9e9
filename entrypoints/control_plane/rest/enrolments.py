"""/api/v1/enrolments."""

from __future__ import annotations

import shlex
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from domain.fleet.access import Permission
from domain.fleet.host import HostName
from domain.identity import fingerprint_of
from entrypoints.control_plane.rest import host_views
from entrypoints.control_plane.rest.conditions import NO_KEY, IdPath, PageQuery
from entrypoints.control_plane.rest.guard import By, GuardedRoute, needs
from entrypoints.control_plane.rest.install_script import INSTALL_PATH, agents_url_of, base_url
from entrypoints.control_plane.rest.parts import API, Parts
from entrypoints.control_plane.rest.problems import responses
from entrypoints.control_plane.rest.requests import HostToEnrol, labels_of

READ: Final = needs(Permission.ENROLMENTS_READ)
WRITE: Final = needs(Permission.ENROLMENTS_WRITE)


def enrolments_router(parts: Parts) -> APIRouter:
    """Leave to become a host."""
    router = APIRouter(prefix=f"{API}/enrolments", tags=["enrolments"], route_class=GuardedRoute)

    @router.post(
        "",
        status_code=201,
        dependencies=[WRITE, NO_KEY],
        summary="Let a machine become a host",
        description="The token is shown once. It is good once, until the enrolment's `expires_at`.",
        operation_id="create_enrolment",
        responses=responses(409),
    )
    async def create(request: Request, body: HostToEnrol, by: By) -> host_views.NewEnrolment:
        base = base_url(request, parts.public_url)
        made = await parts.enrolments.create(
            HostName(body.name), labels_of(body.labels), by, ttl_s=body.ttl_s
        )
        key = fingerprint_of(parts.control_plane_key)
        return host_views.NewEnrolment(
            enrolment=host_views.Enrolment.of(made.enrolment, is_open=True),
            token=made.token,
            control_plane_key=key,
            command=enrolling_command(agents_url_of(base), made.token, key),
            install_url=base + INSTALL_PATH if await parts.agent_file.is_there() else None,
        )

    @router.get(
        "",
        dependencies=[READ],
        summary="List enrolments, the newest first",
        operation_id="list_enrolments",
    )
    async def list_all(page: PageQuery, by: By) -> host_views.EnrolmentPage:
        found = await parts.enrolments.list(page, by)
        return host_views.EnrolmentPage(
            items=[
                host_views.Enrolment.of(one, is_open=parts.enrolments.is_open(one))
                for one in found.items
            ],
            next=found.next,
        )

    @router.delete(
        "/{enrolment_id}",
        status_code=204,
        dependencies=[WRITE],
        summary="Withdraw an enrolment that was not used",
        operation_id="withdraw_enrolment",
        responses=responses(404, 409),
    )
    async def withdraw(enrolment_id: IdPath, by: By) -> Response:
        await parts.enrolments.withdraw(enrolment_id, by)
        return Response(status_code=204)

    return router


def enrolling_command(url: str, token: str, key: str) -> str:
    """The command line for the machine. The token is in it, and nowhere else."""
    variables = {
        "SERVER_URL": url,
        "AGENT_ENROLL_TOKEN": token,
        "AGENT_CONTROL_PLANE_KEY": key,
    }
    words = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    return " ".join([*words, "instadeploy-agent"])
