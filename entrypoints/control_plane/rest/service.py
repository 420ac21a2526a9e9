"""What is asked of the program itself: is it alive, of use, how is it, and what does it offer."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from domain.fleet.access import Permission
from entrypoints.control_plane.rest import metrics
from entrypoints.control_plane.rest.guard import GuardedRoute, needs
from entrypoints.control_plane.rest.parts import API, Parts
from entrypoints.control_plane.rest.problems import responses
from entrypoints.version import VERSION

PUBLIC: Final = needs(Permission.PUBLIC)
MEASURE: Final = needs(Permission.METRICS_READ)


class Health(BaseModel):
    """The program answers."""

    status: str = "ok"
    version: str = VERSION


def service_router(parts: Parts) -> APIRouter:
    """Outside of /api: what probes and Prometheus expect."""
    router = APIRouter(tags=["service"], route_class=GuardedRoute)

    @router.get(
        "/healthz",
        dependencies=[PUBLIC],
        summary="Whether the program answers",
        operation_id="healthz",
    )
    async def healthz() -> Health:
        return Health()

    @router.get(
        "/readyz",
        dependencies=[PUBLIC],
        summary="Whether it is of use: the database answers, and has this version's tables",
        operation_id="readyz",
        responses=responses(503),
    )
    async def readyz() -> Health:
        await parts.check_ready()
        return Health()

    @router.get(
        "/metrics",
        dependencies=[MEASURE],
        summary="Measurements, for Prometheus",
        operation_id="metrics",
        response_class=Response,
        responses={
            200: {
                "description": "Prometheus text format",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }
        },
    )
    async def measurements() -> Response:
        figures = await parts.measuring.figures()
        return Response(parts.metrics.exposition(figures), media_type=metrics.MEDIA_TYPE)

    @router.get(
        f"{API}/openapi.json",
        dependencies=[PUBLIC],
        summary="This document",
        operation_id="openapi",
        response_class=JSONResponse,
    )
    async def openapi(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    return router
