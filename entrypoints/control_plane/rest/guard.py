"""What every request passes before its handler: who asks, may they, and is it small and plain enough.

A route names its permission with `needs`; one that does not cannot be made. All that is refused is
refused before a byte of the body is read, but for what is wrong with the body itself.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Annotated, Any, Final

from fastapi import Depends, Request, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.wire.strict_json import object_in
from adapters.wire.url_tokens import has_token
from application.control_plane.access import Access, at_address
from application.control_plane.auditing import Auditing
from application.control_plane.reaching import Judge, Reaching, not_permitted
from domain.errors import NotPermitted, RemoteProtocolViolation
from domain.fleet.access import NOBODY, Permission, Principal
from entrypoints.control_plane.rest.problems import CODES, Problem, invalid

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""Of requests that bring a project's content; of all others, which may name all hosts, the next one."""
MAX_PLAIN_BODY_BYTES: Final = 1024 * 1024
MAX_JSON_DEPTH: Final = 12
BODY_S: Final = 60.0
MAX_TOKEN_LENGTH: Final = 512

JUDGED: Final = frozenset({"host", "job_id", "deployment_id", "enrolment_id"})
"""What a path may name that is of some host: `Guard` judges who may reach it."""
OF_NO_HOST: Final = frozenset({"project", "user", "token_id"})

_PARAMETER: Final = re.compile(r"{(\w+)}")
_HALF_CHARACTER: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class Needs:
    """The dependency by which a route says what it needs."""

    def __init__(self, permission: Permission, *, brings_content: bool = False) -> None:
        self.permission = permission
        self.max_body = MAX_BODY_BYTES if brings_content else MAX_PLAIN_BODY_BYTES

    async def __call__(self) -> None:
        """Nothing is left to do: `GuardedRoute` has judged the request before."""


def needs(permission: Permission, *, brings_content: bool = False) -> params.Depends:
    """What a route gives in `dependencies`; `brings_content` allows a large body."""
    dependency: params.Depends = Depends(Needs(permission, brings_content=brings_content))
    return dependency


async def _principal(request: Request) -> Principal:
    principal = request.state.principal
    assert isinstance(principal, Principal)
    return principal


By = Annotated[Principal, Depends(_principal)]
"""Who asks, for handlers."""


class Guard:
    """Judges requests by all but their body."""

    def __init__(self, access: Access, reaching: Reaching, auditing: Auditing) -> None:
        self._access = access
        self._auditing = auditing
        self._judges: Mapping[str, Judge] = {
            "host": reaching.host,
            "job_id": reaching.job,
            "deployment_id": reaching.deployment,
            "enrolment_id": reaching.enrolment,
        }

    async def check(self, request: Request, permission: Permission) -> Principal:
        """Whose request it is; raises `Problem` or one of our errors unless they may do that.

        Not only of something, but of what the path names. A host's name in it becomes the host's id:
        what is judged is what is changed then, whatever gets that name meanwhile.
        """
        address = "" if request.client is None else request.client.host
        if permission is Permission.PUBLIC:
            return at_address(NOBODY, address)
        principal = at_address(await self._known(request), address)
        try:
            if not principal.may(permission):
                raise Problem(403, "forbidden", str(not_permitted(permission)))
            if not principal.may_everywhere(permission):
                await self._check_target(request, principal, permission)
        except (NotPermitted, Problem) as exc:
            request.state.principal = principal
            await self.note(request, str(getattr(exc, "detail", exc)))
            raise
        return principal

    async def _check_target(
        self, request: Request, principal: Principal, permission: Permission
    ) -> None:
        for name, value in request.path_params.items():
            judge = self._judges.get(name)
            if judge is not None:
                found = await judge(str(value), principal, permission)
                if name == "host":
                    request.path_params[name] = found

    async def note(self, request: Request, reason: str) -> None:
        """Note that a request that was to change something was refused."""
        principal: Principal = request.state.principal
        if request.method != "GET":
            route = request.scope["route"]
            await self._auditing.refused(principal, route.operation_id or route.path, reason)

    async def _known(self, request: Request) -> Principal:
        token = _bearer_token(request.headers)
        principal = None if token is None else await self._access.principal(token)
        if principal is None:
            raise Problem(
                401,
                "unauthenticated",
                "send the API's token in one header, Authorization: Bearer <token>",
                headers={"WWW-Authenticate": 'Bearer realm="instadeploy"'},
            )
        return principal


class NoTokensInUrls:
    """Wraps the application: whoever has sent a token in a URL is told to replace it.

    Before a route is looked for: also a URL that means nothing here ends up in logs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http" and _has_token(scope):
            problem = Problem(
                400,
                "token_in_url",
                f"{CODES['token_in_url']}; send it in the header Authorization: Bearer <token>, and "
                "replace this one, which logs and proxies may have kept",
            )
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _has_token(scope: Scope) -> bool:
    path = scope.get("raw_path") or scope["path"].encode()
    return has_token(path.decode("latin-1"), scope["query_string"].decode("latin-1"))


class GuardedRoute(APIRoute):
    """A route that has a permission, and whose handler sees allowed, well-formed requests alone."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        declared = [
            one.dependency
            for one in options.get("dependencies") or ()
            if isinstance(one.dependency, Needs)
        ]
        if len(declared) != 1:
            raise TypeError(f"route {path} must name one permission, not {len(declared)}")
        (self.needed,) = declared
        if unknown := set(_PARAMETER.findall(path)) - JUDGED - OF_NO_HOST:
            raise TypeError(f"route {path}: nobody judges who may reach {', '.join(unknown)}")
        super().__init__(path, endpoint, **options)
        self._parameters = frozenset(_query_parameters(self.dependant))

    @property
    def permission(self) -> Permission:
        """What the route needs."""
        return self.needed.permission

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`; what is made here runs before anything of FastAPI's reads the request."""
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            guard: Guard = request.app.state.guard
            request.state.principal = await guard.check(request, self.permission)
            self._refuse_unknown_parameters(request)
            checked = _CheckedRequest(request.scope, request.receive)
            await checked.read(self.needed.max_body, wants_body=self.body_field is not None)
            try:
                return await handler(checked)
            except NotPermitted as exc:
                # What a body names is judged where it is read.
                await guard.note(request, str(exc))
                raise

        return guarded

    def _refuse_unknown_parameters(self, request: Request) -> None:
        for name in request.query_params:
            if name not in self._parameters:
                raise invalid(f"query {name[:80]!r}", "is no parameter of this request")


def _query_parameters(dependant: Dependant) -> Iterator[str]:
    for one in dependant.query_params:
        yield one.alias
    for dependency in dependant.dependencies:
        yield from _query_parameters(dependency)


class _CheckedRequest(Request):
    """A request whose body was read within bounds, and is what it says it is."""

    _document: Mapping[str, object] | None = None

    async def read(self, max_bytes: int, *, wants_body: bool) -> None:
        """Read the body; raises `Problem`."""
        if "content-encoding" in self.headers:
            raise Problem(415, "unsupported_media_type", "send the body without Content-Encoding")
        body = await self._whole(max_bytes)
        if not wants_body:
            if body.strip() not in (b"", b"{}"):
                raise invalid("body", "must be empty: this request takes none")
            return
        self._body = body
        if body:
            media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type != "application/json":
                raise Problem(
                    415,
                    "unsupported_media_type",
                    "send the body with Content-Type: application/json",
                )
            self._document = _document_in(body)

    async def json(self) -> Any:
        """See `Request`; read strictly: no duplicate keys, no NaN, no half characters, not too deep."""
        return self._document

    async def _whole(self, max_bytes: int) -> bytes:
        declared = self.headers.get("content-length", "0")
        if declared.isascii() and declared.isdecimal() and int(declared[:20]) > max_bytes:
            raise _too_large(max_bytes)
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in self.stream():
                    body += chunk
                    if len(body) > max_bytes:
                        raise _too_large(max_bytes)
        except TimeoutError:
            raise Problem(
                408, "too_slow", f"send the whole request within {BODY_S:g} s", headers=_CLOSE
            ) from None
        except ClientDisconnect:
            raise Problem(400, "malformed", "the request ended before its body did") from None
        return bytes(body)


_CLOSE: Final = {"Connection": "close"}


def _too_large(max_bytes: int) -> Problem:
    return Problem(
        413,
        "too_large",
        f"a request like this may have at most {max_bytes} bytes",
        headers=_CLOSE,
    )


def _document_in(body: bytes) -> Mapping[str, object]:
    try:
        document = object_in(body, max_depth=MAX_JSON_DEPTH)
        if _HALF_CHARACTER.search(body):
            json.dumps(document, ensure_ascii=False).encode()
    except RemoteProtocolViolation as exc:
        raise Problem(400, "malformed", str(exc).replace("message: ", "body: ", 1)) from None
    except UnicodeEncodeError:
        raise Problem(400, "malformed", "body: holds half a character of Unicode") from None
    return document


def _bearer_token(headers: Headers) -> str | None:
    values = headers.getlist("authorization")
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token.isascii() or not 0 < len(token) <= MAX_TOKEN_LENGTH:
        return None
    return token
