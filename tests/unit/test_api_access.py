"""Every route has its permission, and nothing of a refused request reaches its handler."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from starlette.routing import BaseRoute

from domain.errors import StorageUnavailable
from domain.fleet.access import Permission
from entrypoints.control_plane.rest import guard
from entrypoints.control_plane.rest.app import create_app
from entrypoints.control_plane.rest.guard import GuardedRoute, needs
from tests.support.asgi import client_of
from tests.support.control_plane_parts import ADMIN, METRICS_TOKEN, ControlPlane
from tests.unit.api import Api, problem_in, serving

PUBLIC = {
    "/healthz",
    "/readyz",
    "/install.sh",
    "/agent",
    "/api/v1/openapi.json",
    "/api/v1/setup",
    "/api/v1/login",
}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as api:
        yield api


def all_routes() -> list[BaseRoute]:
    return create_app(ControlPlane().parts()).routes


def guarded_routes() -> list[GuardedRoute]:
    return [route for route in all_routes() if isinstance(route, GuardedRoute)]


def sample_of(route: GuardedRoute) -> tuple[str, str]:
    """A request that the route would take, but for its body."""
    assert route.methods
    (method,) = route.methods
    return method, re.sub(r"\{\w+\}", "web-1", route.path)


def test_every_route_declares_a_permission() -> None:
    routes = all_routes()
    assert len(routes) > 30
    for route in routes:
        assert isinstance(route, GuardedRoute), f"{route} is not guarded"
        assert isinstance(route.permission, Permission)


def test_what_is_public_is_a_short_list() -> None:
    public = {route.path for route in guarded_routes() if route.permission is Permission.PUBLIC}
    assert public == PUBLIC


def test_every_permission_is_needed_somewhere() -> None:
    assert {route.permission for route in guarded_routes()} == set(Permission)


@pytest.mark.parametrize("dependencies", [[], [needs(Permission.JOBS_READ)] * 2])
def test_a_route_without_one_permission_cannot_be_made(dependencies: list[Any]) -> None:
    router = APIRouter(route_class=GuardedRoute)
    with pytest.raises(TypeError, match="one permission"):
        router.get("/x", dependencies=dependencies)(test_every_route_declares_a_permission)


def with_spied_handlers(plane: ControlPlane) -> tuple[Any, list[str]]:
    """The application, with handlers that only note that they were reached."""
    app = create_app(plane.parts())
    reached: list[str] = []
    for route in app.routes:
        assert isinstance(route, GuardedRoute)
        called = route.dependant.call
        assert called is not None

        def spy(*args: object, _path: str = route.path, **kwargs: object) -> None:
            reached.append(_path)

        async def handler(*args: object, _spy: Any = spy, **kwargs: object) -> None:
            _spy()

        handler.__signature__ = inspect.signature(called)  # type: ignore[attr-defined]
        route.dependant.call = handler
    return app, reached


BAD_HEADERS: list[dict[str, str]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": f"Basic {ADMIN}"},
    {"Authorization": ADMIN},
    {"Authorization": f"Bearer {ADMIN}x"},
    {"Authorization": f"Bearer {ADMIN[:-1]}"},
    {"Authorization": f"Bearer {'a' * 600}"},
    {"Authorization": f"Bearer {ADMIN}, Bearer {ADMIN}"},
    {"Cookie": f"token={ADMIN}"},
    {"X-Api-Key": ADMIN},
]


@pytest.mark.parametrize("headers", BAD_HEADERS)
async def test_without_the_token_no_handler_is_reached_and_no_body_read(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("the body was read")

    monkeypatch.setattr(guard._CheckedRequest, "read", read)
    plane = ControlPlane()
    await plane.with_administrator()
    app, reached = with_spied_handlers(plane)
    async with client_of(app) as client:
        for route in guarded_routes():
            if route.permission is Permission.PUBLIC:
                continue
            method, path = sample_of(route)
            response = await client.request(method, path, headers=headers, content=b"{}")
            problem_in(response, 401, "unauthenticated")
            assert response.headers["www-authenticate"] == 'Bearer realm="instadeploy"'
    assert reached == []


async def test_two_tokens_at_once_are_none(api: Api) -> None:
    headers = [("Authorization", f"Bearer {ADMIN}"), ("Authorization", f"Bearer {ADMIN}")]
    async with client_of(api.app) as client:
        problem_in(await client.get("/api/v1/jobs", headers=headers), 401, "unauthenticated")


async def test_who_lacks_the_permission_reaches_no_handler() -> None:
    plane = ControlPlane()
    await plane.with_administrator()
    app, reached = with_spied_handlers(plane)
    async with client_of(app, METRICS_TOKEN) as client:
        for route in guarded_routes():
            method, path = sample_of(route)
            response = await client.request(method, path, json={})
            if route.permission in (Permission.PUBLIC, Permission.METRICS_READ):
                assert response.status_code not in (401, 403)
            else:
                problem_in(response, 403, "forbidden")
                assert route.permission.value in response.text
    assert set(reached) <= PUBLIC | {"/metrics"}


async def test_the_administrator_may_do_everything() -> None:
    plane = ControlPlane()
    await plane.with_administrator()
    app, _ = with_spied_handlers(plane)
    async with client_of(app, ADMIN) as client:
        for route in guarded_routes():
            method, path = sample_of(route)
            response = await client.request(method, path)
            assert response.status_code not in (401, 403), path


async def test_a_database_that_fails_lets_nobody_in(api: Api) -> None:
    api.plane.fleet.reach.failure = StorageUnavailable("/var/lib/secret-place is gone")
    problem = await api.problem("GET", "/api/v1/jobs", 503, "storage_unavailable")
    assert "secret-place" not in str(problem)
    assert problem["retryable"] is True


URLS = [
    f"/api/v1/jobs?token={ADMIN}",
    "/api/v1/jobs?access_token=x",
    "/api/v1/jobs?api_key=x",
    "/api/v1/jobs?apikey=x",
    "/api/v1/jobs?Authorization=x",
    "/api/v1/jobs?limit=1&PASSWORD=x",
    f"/api/v1/jobs?after={ADMIN}",
    f"/api/v1/jobs/{ADMIN}",
    f"/healthz?x={ADMIN}",
    "/api/v1/hosts/ide_" + "a" * 43,
    "/api/v1/hosts/%69de_" + "a" * 43,
    "/nowhere?token=x",
    f"/nowhere/{ADMIN}",
    "/ws?agent_secret_token=x",
]


@pytest.mark.parametrize("url", URLS)
async def test_a_token_in_the_url_is_refused_whoever_asks(api: Api, url: str) -> None:
    problem = await api.problem("GET", url, 400, "token_in_url")
    assert ADMIN not in str(problem)
    async with client_of(api.app) as client:
        problem_in(await client.get(url), 400, "token_in_url")


async def test_a_token_in_the_url_is_refused_whatever_the_method(api: Api) -> None:
    for method in ("PUT", "DELETE", "HEAD", "OPTIONS"):
        response = await api.client.request(method, f"/api/v1/jobs?token={ADMIN}")
        assert response.status_code == 400, method
        assert response.headers["cache-control"] == "no-store"


async def test_nothing_that_is_refused_is_logged_with_its_secrets(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        for url in URLS:
            await api.client.get(url)
        await api.client.get("/api/v1/jobs", headers={"Authorization": f"Basic {ADMIN}"})
    ours = [record for record in caplog.records if not record.name.startswith("httpx")]
    assert ADMIN not in " ".join(record.getMessage() for record in ours)


async def test_no_other_origin_is_let_in_by_the_headers(api: Api) -> None:
    response = await api.client.get("/healthz", headers={"Origin": "https://evil.example"})
    assert not [name for name in response.headers if name.startswith("access-control-")]
    response = await api.client.options("/api/v1/jobs", headers={"Origin": "https://evil.example"})
    problem_in(response, 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/jobs", "/nowhere", "/api/v1/jobs/none"])
async def test_every_answer_has_the_security_headers(api: Api, path: str) -> None:
    headers = (await api.client.get(path)).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert "strict-transport-security" not in headers


async def test_over_tls_browsers_are_told_to_stay_there(api: Api) -> None:
    transport = httpx.ASGITransport(api.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://cp.example") as client:
        assert "strict-transport-security" in (await client.get("/healthz")).headers


def test_no_dependency_of_a_route_needs_a_thread() -> None:
    """FastAPI runs those that are no coroutine functions in threads: that costs more than they do."""
    waiting = [route.dependant for route in guarded_routes()]
    for dependant in waiting:
        waiting += dependant.dependencies
        called = dependant.call
        assert called is not None
        if not inspect.iscoroutinefunction(called):
            called = type(called).__call__
        assert inspect.iscoroutinefunction(called), called
