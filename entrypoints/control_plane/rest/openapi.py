"""The OpenAPI document: what FastAPI derives, and what is the same for every operation."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from domain.fleet.access import Permission
from entrypoints.control_plane.rest.guard import GuardedRoute
from entrypoints.control_plane.rest.problems import (
    CODES,
    CODES_OF,
    MEDIA_TYPE,
    ProblemDetails,
    description_of,
    example_of,
)
from entrypoints.version import VERSION

SCHEME: Final = "token"
SCHEMAS: Final = "#/components/schemas/"
FIRST_FAILURE: Final = 400
DESCRIPTION: Final = """Deploys Docker Compose projects to machines that nobody can reach from outside.

Requests carry the API's token in `Authorization: Bearer <token>`, and nowhere else. What is accepted
with 202 is in the database already. Errors are `application/problem+json` with a `code` that does not
change. Unknown fields and parameters are refused."""

TAGS: Final = [
    {"name": "enrolments", "description": "Letting machines become hosts"},
    {"name": "hosts", "description": "The machines on which agents run"},
    {"name": "deployments", "description": "What is to run where"},
    {"name": "projects", "description": "Commands to one host, each of which becomes a job"},
    {"name": "jobs", "description": "Commands to hosts, one by one"},
    {"name": "service", "description": "The program itself"},
]

Document = dict[str, Any]

_SUCCESSES: Final = {
    "200": "As it is now",
    "201": "Made; what is secret of it is shown this once",
    "202": "Accepted, and kept: it will be done",
    "204": "Done",
}


def document_of(app: FastAPI) -> Document:
    """The whole document, in the order in which the routes are there."""
    document = get_openapi(
        title="InstaDeploy control plane",
        version=VERSION,
        description=DESCRIPTION,
        routes=app.routes,
        tags=[dict(tag) for tag in TAGS],
    )
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= _problem_schemas()
    document["components"]["responses"] = {
        _name_of(status): {
            "description": description_of(status),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": f"{SCHEMAS}ProblemDetails"},
                    "example": example_of(status),
                }
            },
        }
        for status in CODES_OF
    }
    document["components"]["securitySchemes"] = {SCHEME: {"type": "http", "scheme": "bearer"}}
    # They take their time to be made, and most programs are never asked for this.
    from entrypoints.control_plane.rest.examples.operations import (  # noqa: PLC0415
        examples_by_operation,
    )

    examples = examples_by_operation(document)
    for route in app.routes:
        if isinstance(route, GuardedRoute):
            for method in route.methods or ():
                operation = document["paths"][route.path_format][method.lower()]
                _complete(operation, route.permission, changes=method not in ("GET", "HEAD"))
                examples[operation["operationId"]].put_into(operation)
    return document


def _complete(operation: Document, permission: Permission, *, changes: bool) -> None:
    """What is the same for every operation."""
    operation["x-permission"] = permission.value
    operation["security"] = [] if permission is Permission.PUBLIC else [{SCHEME: []}]
    statuses = {400, 422, 500}
    if permission is not Permission.PUBLIC:
        statuses |= {401, 403, 503}
    if "requestBody" in operation:
        statuses |= {408, 413, 415}
    if changes:
        statuses |= {507}
    answers = operation["responses"]
    statuses |= {int(status) for status in answers if int(status) >= FIRST_FAILURE}
    for status in statuses:
        answers[str(status)] = {"$ref": f"#/components/responses/{_name_of(status)}"}
    for success, description in _SUCCESSES.items():
        if answers.get(success, {}).get("description") == "Successful Response":
            answers[success]["description"] = description
    operation["responses"] = dict(sorted(answers.items()))


def _name_of(status: int) -> str:
    return f"Problem{status}"


def _problem_schemas() -> Document:
    schema = ProblemDetails.model_json_schema(ref_template=f"{SCHEMAS}{{model}}")
    parts: Document = schema.pop("$defs")
    schema["properties"]["code"]["enum"] = sorted(CODES)
    return parts | {"ProblemDetails": schema}
