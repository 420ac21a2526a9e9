"""What requests say beside their bodies: pages, preferences, idempotency keys, ids in paths.

Dependencies are coroutine functions: FastAPI runs all others in threads, at the cost of a millisecond.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Depends, Header, Path, Query

from domain.errors import InvalidInput
from domain.fleet.labels import MAX_LABELS, Labels
from domain.fleet.page import MAX_PAGE, USUAL_PAGE, PageRequest
from domain.project import ProjectName
from domain.validation import MAX_PROJECT_NAME_LENGTH
from entrypoints.control_plane.rest.problems import invalid

LONGEST_PREFERRED_WAIT_S: Final = 60
MAX_KEY_LENGTH: Final = 255
MOST_FEED_NUMBER: Final = 2**63 - 1

_WAIT: Final = re.compile(r"""^\s*wait\s*=\s*"?([0-9]{1,6})"?\s*(?:;.*)?$""", re.IGNORECASE)
_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_PROJECT: Final = r"^[a-zA-Z0-9][a-zA-Z0-9_-]*$"
_CURSOR: Final = r"^[A-Za-z0-9._@~=-]*$"

HostPath = Annotated[
    str, Path(description="A host's name or id", pattern=_ID, max_length=63, examples=["web-1"])
]
ProjectPath = Annotated[
    str,
    Path(
        description="A project's name; Compose knows one project under it, whatever its case",
        pattern=_PROJECT,
        max_length=MAX_PROJECT_NAME_LENGTH,
        examples=["blog"],
    ),
]
IdPath = Annotated[str, Path(pattern=_ID, max_length=128)]

HostQuery = Annotated[
    str | None, Query(description="A host's name or id", pattern=_ID, max_length=63)
]
ProjectQuery = Annotated[
    str | None, Query(pattern=_PROJECT, max_length=MAX_PROJECT_NAME_LENGTH, examples=["blog"])
]
IdQuery = Annotated[str | None, Query(pattern=_ID, max_length=128)]
LabelQuery = Annotated[
    list[str] | None,
    Query(
        description="`key=value`; given again, all of them are meant",
        max_length=MAX_LABELS,
        examples=[["env=prod"]],
    ),
]


async def _page(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = USUAL_PAGE,
    after: Annotated[
        str,
        Query(description="`next` of the page before", pattern=_CURSOR, max_length=256),
    ] = "",
) -> PageRequest:
    return PageRequest(limit, after)


PageQuery = Annotated[PageRequest, Depends(_page)]


async def _wait(
    prefer: Annotated[
        str | None,
        Header(
            alias="Prefer",
            description="`wait=N`: answer when the job is over, or after N seconds (60 at most)",
            max_length=256,
            examples=["wait=30"],
        ),
    ] = None,
) -> int:
    for preference in (prefer or "").split(","):
        if found := _WAIT.match(preference):
            return min(int(found[1]), LONGEST_PREFERRED_WAIT_S)
    return 0


PreferredWait = Annotated[int, Depends(_wait)]
"""Seconds; 0 where nothing is preferred. What is not understood is ignored, as RFC 7240 has it."""


async def _key(
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="The same request under the same key is carried out once, and answered again",
            min_length=1,
            max_length=MAX_KEY_LENGTH,
            examples=["7f3c1f0e-2f0b-4c62-9d0f-5a3b1f1d9d55"],
        ),
    ] = None,
) -> str | None:
    if idempotency_key is None:
        return None
    if not (idempotency_key.isascii() and idempotency_key.isprintable()):
        raise invalid("Idempotency-Key", "must be printable ASCII")
    return idempotency_key


IdempotencyKey = Annotated[str | None, Depends(_key)]


async def _no_key(
    idempotency_key: Annotated[
        str | None, Header(alias="Idempotency-Key", include_in_schema=False)
    ] = None,
) -> None:
    if idempotency_key is not None:
        raise invalid(
            "Idempotency-Key",
            "cannot be used here: the answer has a secret in it, which is not kept to be given "
            "again; withdraw or replace what came of the first request",
        )


NO_KEY: Final = Depends(_no_key)
"""Of routes that show a secret once."""


async def _resume_after(
    after: Annotated[
        int,
        Query(description="Number of the last entry that is known", ge=0, le=MOST_FEED_NUMBER),
    ] = 0,
    last_event_id: Annotated[
        int | None,
        Header(
            alias="Last-Event-ID",
            description="The same, as browsers send it",
            ge=0,
            le=MOST_FEED_NUMBER,
        ),
    ] = None,
) -> int:
    return after if last_event_id is None else last_event_id


ResumeAfter = Annotated[int, Depends(_resume_after)]


def labels_in(values: list[str] | None) -> Labels:
    """The labels of a query; raises `InvalidInput`."""
    found: dict[str, str] = {}
    for value in values or ():
        key, equals, text = value.partition("=")
        if not equals:
            raise InvalidInput("label", "must look like key=value")
        if found.setdefault(key, text) != text:
            raise InvalidInput("label", "must not ask for two values of one key")
    return Labels.of(found)


def project_of(name: str) -> ProjectName:
    """The project of a path; raises `InvalidInput`."""
    return ProjectName(name)
