"""/api/v1/setup, /login, /logout, /me, /users and /tokens."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from domain.fleet.access import Permission
from domain.fleet.people import UserName
from entrypoints.control_plane.rest import people_views as views
from entrypoints.control_plane.rest.conditions import NO_KEY, IdPath, PageQuery
from entrypoints.control_plane.rest.guard import By, GuardedRoute, needs
from entrypoints.control_plane.rest.parts import API, Parts
from entrypoints.control_plane.rest.problems import responses

PUBLIC: Final = needs(Permission.PUBLIC)
SELF: Final = needs(Permission.SELF)
READ: Final = needs(Permission.PEOPLE_READ)
WRITE: Final = needs(Permission.PEOPLE_WRITE)

_USER: Final = r"^[A-Za-z0-9][A-Za-z0-9._@-]*$"
UserPath = Annotated[
    str,
    Path(description="A user's name or id", pattern=_USER, max_length=63, examples=["ann"]),
]
UserQuery = Annotated[
    str | None, Query(description="A user's name or id", pattern=_USER, max_length=63)
]


def people_router(parts: Parts) -> APIRouter:
    """Who may use the API."""
    router = APIRouter(prefix=API, tags=["people"], route_class=GuardedRoute)
    _add_logins(router, parts)
    _add_self(router, parts)
    _add_users(router, parts)
    _add_changing_users(router, parts)
    _add_tokens(router, parts)
    return router


def _add_logins(router: APIRouter, parts: Parts) -> None:
    @router.post(
        "/setup",
        status_code=201,
        dependencies=[PUBLIC, NO_KEY],
        summary="Set the control plane up: make its first user",
        description="With the code that the program printed when it was started. Once there was a "
        "user, this is over for good: 409.",
        operation_id="set_up",
        responses=responses(401, 409, 429),
    )
    async def set_up(body: views.SetUp, by: By) -> views.Login:
        name = UserName(body.name)
        login = await parts.logins.set_up(body.code, name, body.password, by.address)
        return views.Login.of_login(login)

    @router.post(
        "/login",
        status_code=201,
        dependencies=[PUBLIC, NO_KEY],
        summary="Log in: get a token for a name and a password",
        description="It is good for 12 hours. What is wrong is not said.",
        operation_id="log_in",
        responses=responses(401, 429),
    )
    async def log_in(body: views.Credentials, by: By) -> views.Login:
        return views.Login.of_login(await parts.logins.log_in(body.name, body.password, by.address))

    @router.post(
        "/logout",
        status_code=204,
        dependencies=[SELF],
        summary="Log out: make the presented token worth nothing",
        operation_id="log_out",
    )
    async def log_out(by: By) -> Response:
        await parts.logins.log_out(by)
        return Response(status_code=204)


def _add_self(router: APIRouter, parts: Parts) -> None:
    @router.get(
        "/me",
        dependencies=[SELF],
        summary="Say whose the presented token is",
        operation_id="show_me",
    )
    async def me(by: By) -> views.Me:
        known = await parts.api_tokens.of(by)
        return views.Me(
            user=views.User.of(known.user), access_token=views.AccessToken.of_known(known)
        )

    @router.post(
        "/me/password",
        status_code=204,
        dependencies=[SELF, NO_KEY],
        summary="Give oneself another password",
        description="All of one's sessions end; tokens for programs stay.",
        operation_id="change_my_password",
        responses=responses(401, 429),
    )
    async def change_password(body: views.NewPassword, by: By) -> Response:
        await parts.logins.change_password(by, body.current, body.new)
        return Response(status_code=204)


def _add_users(router: APIRouter, parts: Parts) -> None:
    @router.get(
        "/users",
        dependencies=[READ],
        summary="List users, by name",
        operation_id="list_users",
    )
    async def list_users(page: PageQuery) -> views.UserPage:
        found = await parts.users.list(page)
        return views.UserPage(items=[views.User.of(user) for user in found.items], next=found.next)

    @router.get(
        "/users/{user}",
        dependencies=[READ],
        summary="Show a user",
        operation_id="show_user",
        responses=responses(404),
    )
    async def show_user(user: UserPath) -> views.User:
        return views.User.of(await parts.users.show(user))


def _add_changing_users(router: APIRouter, parts: Parts) -> None:
    @router.post(
        "/users",
        status_code=201,
        dependencies=[WRITE, NO_KEY],
        summary="Add a user",
        operation_id="create_user",
        responses=responses(409),
    )
    async def create_user(body: views.NewUser, by: By) -> views.User:
        grants = [grant.as_domain() for grant in body.grants]
        user = await parts.users.add(UserName(body.name), grants, body.password, by)
        return views.User.of(user)

    @router.patch(
        "/users/{user}",
        dependencies=[WRITE],
        summary="Change what a user may do, or disable them, or replace their password",
        description="What a disabled user has open is closed within 5 s. 409 where nobody would be "
        "left who may do everything.",
        operation_id="change_user",
        responses=responses(404, 409),
    )
    async def change_user(user: UserPath, body: views.UserUpdate, by: By) -> views.User:
        changed = await parts.users.change(
            user,
            by,
            grants=None if body.grants is None else [one.as_domain() for one in body.grants],
            password=body.password,
            is_disabled=body.is_disabled,
        )
        return views.User.of(changed)

    @router.delete(
        "/users/{user}",
        status_code=204,
        dependencies=[WRITE],
        summary="Remove a user, with all tokens",
        operation_id="remove_user",
        responses=responses(404, 409),
    )
    async def remove_user(user: UserPath, by: By) -> Response:
        await parts.users.remove(user, by)
        return Response(status_code=204)


def _add_tokens(router: APIRouter, parts: Parts) -> None:
    @router.get(
        "/tokens",
        dependencies=[SELF],
        summary="List tokens, the newest first",
        description="One's own; administrators see everybody's.",
        operation_id="list_tokens",
        responses=responses(404),
    )
    async def list_tokens(page: PageQuery, by: By, user: UserQuery = None) -> views.AccessTokenPage:
        found = await parts.api_tokens.list(user, page, by)
        return views.AccessTokenPage(
            items=[views.AccessToken.of_known(one) for one in found.items], next=found.next
        )

    @router.post(
        "/tokens",
        status_code=201,
        dependencies=[SELF, NO_KEY],
        summary="Make a token for a program",
        description="It is shown once. It may do what its user may, or less.",
        operation_id="create_token",
        responses=responses(404, 409),
    )
    async def create_token(body: views.NewApiToken, by: By) -> views.AccessTokenWithSecret:
        made = await parts.api_tokens.create(
            body.name, by, user=body.user, scope=body.scope(), expires_in_s=body.expires_in_s
        )
        return views.AccessTokenWithSecret(
            access_token=views.AccessToken.of_known(made.known), token=made.token
        )

    @router.delete(
        "/tokens/{token_id}",
        status_code=204,
        dependencies=[SELF],
        summary="Make a token worth nothing",
        description="What it has open is closed within 5 s.",
        operation_id="revoke_token",
        responses=responses(404),
    )
    async def revoke_token(token_id: IdPath, by: By) -> Response:
        await parts.api_tokens.revoke(token_id, by)
        return Response(status_code=204)
