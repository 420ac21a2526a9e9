"""/api/v1/audit."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from application.ports.audit_trail import AuditQuery
from domain.fleet.access import Permission
from domain.fleet.audit import AuditEntry as Entry
from domain.fleet.audit import document_of
from entrypoints.control_plane.rest.conditions import (
    MOST_FEED_NUMBER,
    HostQuery,
    PageQuery,
    ProjectQuery,
)
from entrypoints.control_plane.rest.guard import By, GuardedRoute, needs
from entrypoints.control_plane.rest.held_response import HeldResponse
from entrypoints.control_plane.rest.parts import API, Parts
from entrypoints.control_plane.rest.people import UserQuery
from entrypoints.control_plane.rest.views import PageOf

READ: Final = needs(Permission.AUDIT_READ)
LINES: Final = "application/x-ndjson"
_ACTION: Final = r"^[a-z][a-z._]{0,62}$"
_HASH: Final = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"


class AuditEntry(BaseModel):
    """Who did what. The hash is of the hash before it, a newline, and all else in canonical JSON."""

    number: int
    at: float = Field(description="Seconds since 1970", examples=[1769860800.25])
    user: str = Field(examples=["ann"])
    address: str = Field(examples=["192.0.2.7"])
    token_id: str
    action: str = Field(examples=["deploy"])
    outcome: str = Field(
        description="`done`, `accepted`, `refused`, or of `job.end` the job's state",
        examples=["accepted"],
    )
    host_id: str | None
    host: str = Field(examples=["web-1"])
    project: str = Field(examples=["blog"])
    job_id: str
    deployment_id: str
    target: str = Field(description="Another thing that was changed, such as a user")
    detail: dict[str, Any]
    previous_hash: str = Field(examples=["0" * 64])
    hash: str = Field(examples=[_HASH])

    @classmethod
    def of(cls, entry: Entry) -> AuditEntry:
        """The view of an entry."""
        return cls(**document_of(entry))


class AuditPage(PageOf[AuditEntry]):
    """Entries, the newest first."""


class AuditHead(BaseModel):
    """Where the trail ends."""

    number: int
    hash: str = Field(examples=[_HASH])


class AuditFinding(BaseModel):
    """Something that is wrong with the trail."""

    number: int
    problem: str = Field(
        description="`gap`, `edited`, `reordered`, `cut`, `clock_set_back`", examples=["gap"]
    )
    detail: str


class AuditVerification(BaseModel):
    """Whether the trail is as it was written."""

    is_intact: bool = Field(description="A clock that was set back is found, and no damage")
    entries: int
    head: AuditHead
    findings: list[AuditFinding]


def audit_router(parts: Parts) -> APIRouter:
    """Who changed what."""
    router = APIRouter(prefix=f"{API}/audit", tags=["audit"], route_class=GuardedRoute)
    _add_reading(router, parts)

    @router.get(
        "/export",
        status_code=200,
        dependencies=[READ],
        summary="Export the trail, the oldest first, an entry a line",
        description="With what it takes to verify it: nothing else has to be known.",
        operation_id="export_audit",
        response_class=HeldResponse,
        responses={
            200: {"description": "Entries", "content": {LINES: {"schema": {"type": "string"}}}}
        },
    )
    async def export(
        by: By,
        after: Annotated[
            int, Query(description="Of the last one known", ge=0, le=MOST_FEED_NUMBER)
        ] = 0,
    ) -> HeldResponse:
        return HeldResponse(
            _lines(parts.auditing.export(after)),
            lambda: parts.sessions.opened(by),
            media_type=LINES,
        )

    return router


def _add_reading(router: APIRouter, parts: Parts) -> None:
    @router.get(
        "",
        dependencies=[READ],
        summary="List what was done, the newest first",
        operation_id="list_audit",
    )
    async def list_all(
        page: PageQuery,
        user: UserQuery = None,
        host: HostQuery = None,
        project: ProjectQuery = None,
        action: Annotated[str | None, Query(pattern=_ACTION, examples=["deploy"])] = None,
    ) -> AuditPage:
        query = AuditQuery(user=user, host=host, project=project, action=action)
        found = await parts.auditing.list(query, page)
        return AuditPage(items=[AuditEntry.of(one) for one in found.items], next=found.next)

    @router.get(
        "/verification",
        dependencies=[READ],
        summary="Verify the whole trail",
        operation_id="verify_audit",
    )
    async def verify() -> AuditVerification:
        found = await parts.auditing.verify()
        return AuditVerification(
            is_intact=found.is_intact,
            entries=found.entries,
            head=AuditHead(number=found.head.number, hash=found.head.hash),
            findings=[
                AuditFinding(number=one.number, problem=one.problem, detail=one.detail)
                for one in found.findings
            ],
        )


def line_of(entry: Entry) -> bytes:
    """An entry as it is exported."""
    return json.dumps(document_of(entry)).encode() + b"\n"


async def _lines(entries: AsyncGenerator[Entry, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(entries):
        async for entry in entries:
            yield line_of(entry)
