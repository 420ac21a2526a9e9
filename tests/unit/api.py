"""What tests of the API share: a control plane on fakes, and a client that presents its token."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from entrypoints.control_plane.rest.app import create_app
from entrypoints.control_plane.rest.guard import Guard
from tests.support.asgi import client_of
from tests.support.control_plane_parts import ADMIN, ControlPlane

Document = dict[str, Any]
V1 = "/api/v1"
WEB = f"{V1}/hosts/web-1"
BLOG = f"{WEB}/projects/blog"
SECRET = "s3cr3t-value"
COMPOSE = "services:\n  web:\n    image: nginx\n"


@dataclass
class Api:
    """The application, what is behind it, and the administrator's client."""

    plane: ControlPlane
    app: FastAPI
    client: httpx.AsyncClient

    async def get(self, path: str, **more: Any) -> Document:
        return self.document(await self.client.get(path, **more), 200)

    async def post(self, path: str, status: int, json: object = None, **more: Any) -> Document:
        return self.document(await self.client.post(path, json=json, **more), status)

    async def problem(
        self, method: str, path: str, status: int, code: str, **more: Any
    ) -> Document:
        """What a request is refused with."""
        return problem_in(await self.client.request(method, path, **more), status, code)

    @staticmethod
    def document(response: httpx.Response, status: int) -> Document:
        assert response.status_code == status, response.text
        document: Document = response.json()
        return document

    async def deploy(self, *hosts: str, **more: object) -> Document:
        body = {"project": "blog", "compose": COMPOSE, "hosts": list(hosts), **more}
        return await self.post("/api/v1/deployments", 202, body)


async def payload_of(api: Api, job: Document) -> Document:
    """What the command of a job carries, as it is kept."""
    kept = await api.plane.fleet.jobs.job(job["id"])
    payload: Document = json.loads(await api.plane.payloads.opened(kept))
    return payload


def problem_in(response: httpx.Response, status: int, code: str) -> Document:
    """The problem that a response is, which is the expected one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: Document = response.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["type"] == f"urn:instadeploy:problem:{code}"
    assert problem["detail"]
    return problem


class _Switch:
    """In the place of `Parts`: those of the test that runs now. Making an application takes long."""

    def __init__(self) -> None:
        self.parts = ControlPlane().parts()

    def __getattr__(self, name: str) -> object:
        return getattr(self.parts, name)


@functools.cache
def _switched_app() -> tuple[FastAPI, _Switch]:
    switch = _Switch()
    return create_app(switch), switch  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def serving(plane: ControlPlane | None = None) -> AsyncIterator[Api]:
    """An API whose administrator's token is `ADMIN`."""
    plane = plane or ControlPlane()
    await plane.with_administrator()
    app, switch = _switched_app()
    switch.parts = plane.parts()
    app.state.guard = Guard(plane.access, plane.reaching, plane.auditing)
    async with client_of(app, ADMIN) as client:
        yield Api(plane, app, client)
