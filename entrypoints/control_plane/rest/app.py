"""The ASGI application: all routers, and what is the same for every request."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.control_plane.rest import problems
from entrypoints.control_plane.rest.audit import audit_router
from entrypoints.control_plane.rest.deployments import deployments_router
from entrypoints.control_plane.rest.enrolments import enrolments_router
from entrypoints.control_plane.rest.guard import Guard, NoTokensInUrls
from entrypoints.control_plane.rest.headers import SecurityHeaders
from entrypoints.control_plane.rest.hosts import hosts_router
from entrypoints.control_plane.rest.installing import installing_router
from entrypoints.control_plane.rest.jobs import jobs_router
from entrypoints.control_plane.rest.openapi import document_of
from entrypoints.control_plane.rest.parts import Parts
from entrypoints.control_plane.rest.people import people_router
from entrypoints.control_plane.rest.projects import projects_router
from entrypoints.control_plane.rest.service import service_router


def create_app(parts: Parts) -> FastAPI:
    """The application, which starts and ends nothing by itself."""
    app = FastAPI(
        title="InstaDeploy control plane",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.guard = Guard(parts.access, parts.reaching, parts.auditing)
    for router in (
        enrolments_router(parts),
        hosts_router(parts),
        projects_router(parts),
        deployments_router(parts),
        jobs_router(parts),
        people_router(parts),
        audit_router(parts),
        installing_router(parts),
        service_router(parts),
    ):
        # Their routes as they are: what is included is resolved anew for each request.
        app.router.routes.extend(router.routes)
    problems.install(app)
    app.add_middleware(NoTokensInUrls)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(_Measured, parts=parts)

    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(document_of(app))
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


class _Measured:
    """Counts requests, by the template of their route."""

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "")
                seconds = time.monotonic() - begun
                self._parts.metrics.answered(scope["method"], route, message["status"], seconds)
            await send(message)

        await self._app(scope, receive, send_measured)
