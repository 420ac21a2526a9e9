"""/api/v1/hosts."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query

from domain.fleet.access import Permission
from domain.fleet.host import HostName
from entrypoints.control_plane.rest import host_views
from entrypoints.control_plane.rest.conditions import (
    NO_KEY,
    HostPath,
    LabelQuery,
    PageQuery,
    labels_in,
)
from entrypoints.control_plane.rest.guard import By, GuardedRoute, needs
from entrypoints.control_plane.rest.parts import API, Parts
from entrypoints.control_plane.rest.problems import responses
from entrypoints.control_plane.rest.requests import HostChange, NewHost, labels_of

READ: Final = needs(Permission.HOSTS_READ)
WRITE: Final = needs(Permission.HOSTS_WRITE)
TRUST: Final = needs(Permission.HOSTS_TRUST)


def hosts_router(parts: Parts) -> APIRouter:
    """The machines on which agents run."""
    router = APIRouter(prefix=f"{API}/hosts", tags=["hosts"], route_class=GuardedRoute)
    _add_reading(router, parts)
    _add_trusting(router, parts)
    return router


def _add_reading(router: APIRouter, parts: Parts) -> None:
    @router.get(
        "",
        dependencies=[READ],
        summary="List hosts, by name",
        operation_id="list_hosts",
    )
    async def list_all(
        page: PageQuery,
        by: By,
        label: LabelQuery = None,
        with_revoked: Annotated[bool, Query(description="Also those that are revoked")] = False,  # noqa: FBT002
    ) -> host_views.HostPage:
        found = await parts.hosts.list(
            page,
            labels_in(label),
            with_revoked=with_revoked,
            within=by.reach(Permission.HOSTS_READ),
        )
        return host_views.HostPage(
            items=[host_views.Host.of(view) for view in found.items], next=found.next
        )

    @router.get(
        "/{host}",
        dependencies=[READ],
        summary="Show a host",
        operation_id="show_host",
        responses=responses(404),
    )
    async def show(host: HostPath) -> host_views.Host:
        return host_views.Host.of(await parts.hosts.show(host))

    @router.patch(
        "/{host}",
        dependencies=[WRITE],
        summary="Rename a host, or replace its labels",
        operation_id="change_host",
        responses=responses(404, 409),
    )
    async def change(host: HostPath, body: HostChange, by: By) -> host_views.Host:
        view = await parts.hosts.change(
            host,
            by,
            name=None if body.name is None else HostName(body.name),
            labels=None if body.labels is None else labels_of(body.labels),
        )
        return host_views.Host.of(view)


def _add_trusting(router: APIRouter, parts: Parts) -> None:
    @router.post(
        "",
        status_code=201,
        dependencies=[TRUST, NO_KEY],
        summary="Add a host whose agent presents a token",
        description="For agents that speak protocol v1 alone; others are enrolled. The token is "
        "shown once.",
        operation_id="create_token_host",
        responses=responses(409),
    )
    async def create(body: NewHost, by: By) -> host_views.HostWithToken:
        made = await parts.enrolments.add_host(HostName(body.name), labels_of(body.labels), by)
        return host_views.HostWithToken(
            host=host_views.Host.of(parts.hosts.view(made.host)), token=made.token
        )

    @router.post(
        "/{host}/token",
        status_code=201,
        dependencies=[TRUST, NO_KEY],
        summary="Replace a host's token",
        description="The old one is worth nothing at once, and who uses it is put out.",
        operation_id="rotate_host_token",
        responses=responses(404, 409),
    )
    async def rotate(host: HostPath, by: By) -> host_views.HostWithToken:
        made = await parts.hosts.new_token(host, by)
        return host_views.HostWithToken(
            host=host_views.Host.of(parts.hosts.view(made.host)), token=made.token
        )

    @router.post(
        "/{host}/revoke",
        dependencies=[TRUST],
        summary="Let nobody connect as this host any more",
        description="Its link is closed at once, its open jobs fail, its name is free. For good.",
        operation_id="revoke_host",
        responses=responses(404),
    )
    async def revoke(host: HostPath, by: By) -> host_views.Host:
        return host_views.Host.of(await parts.hosts.revoke(host, by))

    @router.delete(
        "/{host}/clone-suspicion",
        dependencies=[TRUST],
        summary="Note that one machine alone uses the host's identity now",
        operation_id="settle_clone_suspicion",
        responses=responses(404),
    )
    async def settle(host: HostPath, by: By) -> host_views.Host:
        return host_views.Host.of(await parts.hosts.settle_clone(host, by))
