"""What a request that fails is answered with: problem details (RFC 9457), with codes for machines.

Nothing that a client has sent is repeated but the names of its fields, and nothing of ours is told
but what a client can act upon.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from domain.errors import (
    Busy,
    Conflict,
    Forbidden,
    InstaDeployError,
    InvalidInput,
    NoSpace,
    NotFound,
    NotPermitted,
    StorageUnavailable,
    TooManyAttempts,
    Unproven,
)
from entrypoints.control_plane.rest.requests import AS_TEXT, AS_VARIABLES

logger = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:instadeploy:problem:"
RETRY_AFTER_S: Final = 2
MAX_ERRORS: Final = 20
MAX_NAME: Final = 120

STATUSES: Final[Mapping[type[InstaDeployError], int]] = {
    InvalidInput: 422,
    NotFound: 404,
    Conflict: 409,
    Forbidden: 403,
    NotPermitted: 403,
    Unproven: 401,
    TooManyAttempts: 429,
    Busy: 503,
    NoSpace: 507,
    StorageUnavailable: 503,
}
"""The most special kind of an error counts; what is not here is our fault."""

CODES: Final[Mapping[str, str]] = {
    "malformed": "The request is no HTTP or JSON that can be read",
    "token_in_url": "A token stands in the URL",
    "unauthenticated": "No token, or none that is good",
    "forbidden": "The token does not allow this",
    "too_many_attempts": "Too much was got wrong lately",
    "not_found": "There is no such thing",
    "method_not_allowed": "This resource does not know the method",
    "too_slow": "The request did not come in time",
    "conflict": "It contradicts what is there",
    "too_large": "The request is too large",
    "unsupported_media_type": "Requests are JSON, and not compressed",
    "invalid_input": "A value breaks a rule",
    "internal": "Something is wrong here, and nobody's fault but ours",
    "busy": "Too much at once; the same request may succeed later",
    "storage_unavailable": "The database does not do what it is asked",
    "no_space": "The database's disk is full",
}
"""Every code, with its title."""

RETRYABLE: Final = frozenset(
    {"busy", "too_many_attempts", "storage_unavailable", "no_space", "too_slow"}
)

_FIELD_NAMES: Final = {"compose_file_base64": "compose", "project_name": "project"}
"""What the API calls a field that the wire calls otherwise."""

_OF_STATUS: Final = {
    400: "malformed",
    404: "not_found",
    413: "too_large",
}


class FieldError(BaseModel):
    """One value that breaks a rule."""

    field: str = Field(description="Where the value stands", examples=["options.wait_timeout_s"])
    rule: str = Field(examples=["must be over 0 and at most 86400 seconds"])


class ProblemDetails(BaseModel):
    """RFC 9457, with a code that does not change, and the fields that are meant."""

    type: str = Field(examples=[f"{TYPE_PREFIX}invalid_input"])
    title: str = Field(examples=[CODES["invalid_input"]])
    status: int = Field(examples=[422])
    detail: str = Field(
        description="For people", examples=["hosts: must be at most 10000, not 10001"]
    )
    code: str = Field(
        description="For machines; one of those in docs/control-plane.md",
        examples=["invalid_input"],
    )
    retryable: bool = Field(description="Whether the same request can succeed later")
    errors: list[FieldError] = Field(
        default_factory=list, description="Of `invalid_input`: the values that break rules"
    )


class Problem(HTTPException):
    """A request that is not carried out; one of `CODES`."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
        retryable: bool | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.code = code
        self.errors = errors
        self.retryable = code in RETRYABLE if retryable is None else retryable

    def document(self) -> dict[str, Any]:
        """What the client gets, as JSON has it."""
        details = ProblemDetails(
            type=TYPE_PREFIX + self.code,
            title=CODES[self.code],
            status=self.status_code,
            detail=self.detail,
            code=self.code,
            retryable=self.retryable,
            errors=list(self.errors),
        )
        return details.model_dump(exclude_defaults=True)

    def response(self) -> Response:
        """What the client gets."""
        headers = dict(self.headers or {})
        if self.retryable:
            headers.setdefault("Retry-After", str(RETRY_AFTER_S))
        return JSONResponse(self.document(), self.status_code, headers, MEDIA_TYPE)


def invalid(field: str, rule: str) -> Problem:
    """A value that breaks a rule."""
    return Problem(
        422, "invalid_input", f"{field}: {rule}", errors=[FieldError(field=field, rule=rule)]
    )


def problem_of(error: InstaDeployError) -> Problem:
    """What an error of ours becomes."""
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
    if isinstance(error, InvalidInput):
        return invalid(_api_name(error.field), error.rule)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal()
    code = "forbidden" if isinstance(error, Forbidden) else error.code
    # What the disk or the database says is for the log, and names paths.
    detail = CODES[code] if isinstance(error, StorageUnavailable) else str(error)
    headers = None
    if isinstance(error, TooManyAttempts):
        headers = {"Retry-After": str(math.ceil(error.wait_s))}
    return Problem(status, code, detail, headers=headers, retryable=error.retryable)


def internal() -> Problem:
    """What is told of an error that nobody foresaw."""
    return Problem(500, "internal", "the log says what it is, at this moment")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that are an operation's own, for the OpenAPI document."""
    return {status: {"description": description_of(status)} for status in sorted(statuses)}


def description_of(status: int) -> str:
    """What a status means, by the codes that come with it."""
    return "; ".join(
        f"`{code}`: {CODES[code][0].lower()}{CODES[code][1:]}" for code in CODES_OF[status]
    )


def example_of(status: int) -> dict[str, Any]:
    """What a client gets, for the OpenAPI document."""
    code = CODES_OF[status][0]
    if code == "invalid_input":
        problem = invalid("hosts", "either hosts or labels must be given, and not both")
    else:
        problem = Problem(status, code, CODES[code])
    return problem.document()


def install(app: FastAPI) -> None:
    """Have every error answered so."""
    app.add_exception_handler(InstaDeployError, _on_own_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_surprise)


async def _on_own_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, InstaDeployError)
    problem = problem_of(error)
    if problem.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s %s failed", request.method, _route(request), exc_info=error)
    elif isinstance(error, StorageUnavailable):
        logger.error("%s %s failed: %s", request.method, _route(request), error)
    return problem.response()


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, Problem):
        return error.response()
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(_methods_of(request)))
        detail = f"this resource takes {allowed}"
        return Problem(405, "method_not_allowed", detail, headers={"Allow": allowed}).response()
    code = _OF_STATUS.get(error.status_code, "malformed")
    return Problem(error.status_code, code, CODES[code], headers=error.headers).response()


async def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_field_error(one) for one in error.errors()[:MAX_ERRORS]]
    detail = "; ".join(f"{one.field}: {one.rule}" for one in errors)
    return Problem(422, "invalid_input", detail, errors=errors).response()


async def _on_surprise(_request: Request, _error: Exception) -> Response:
    # Starlette raises it once more for the server, which logs it.
    return internal().response()


def _field_error(error: Mapping[str, Any]) -> FieldError:
    place = [str(part)[:MAX_NAME] for part in error["loc"] if part not in _NO_FIELDS]
    rule = _RULES.get(error["type"]) or (
        str(error["msg"])
        .removeprefix("Value error, ")
        .replace("Input should", "must")
        .replace(" should ", " must ")
    )
    return FieldError(field=".".join(place) or "body", rule=rule)


_NO_FIELDS: Final = ("body", "query", "path", "header", AS_VARIABLES, AS_TEXT)
_RULES: Final = {
    "missing": "is missing",
    "extra_forbidden": "is no field of this request",
    "model_attributes_type": "must be a JSON object",
}


def _api_name(field: str) -> str:
    head, dot, rest = field.partition(".")
    return _FIELD_NAMES.get(head, head) + dot + rest


CODES_OF: Final[Mapping[int, Sequence[str]]] = {
    400: ("malformed", "token_in_url"),
    401: ("unauthenticated",),
    403: ("forbidden",),
    404: ("not_found",),
    405: ("method_not_allowed",),
    408: ("too_slow",),
    409: ("conflict",),
    413: ("too_large",),
    415: ("unsupported_media_type",),
    422: ("invalid_input",),
    429: ("too_many_attempts",),
    500: ("internal",),
    503: ("busy", "storage_unavailable"),
    507: ("no_space",),
}


def _methods_of(request: Request) -> set[str]:
    """All methods of the resource: each of its routes knows only its own."""
    return {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


def _route(request: Request) -> str:
    """The route's template: a path may hold anything, also what must not be logged."""
    return getattr(request.scope.get("route"), "path", "?")
