"""What histories and contents look like on the disk. No I/O.

A history is sealed JSON, for people to read. A content is a line of JSON that says what follows, and
then the bytes of all its files one after the other, as they are; its digest is its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, TypeVar

from adapters.filesystem.sealed import NewerVersion, Spoilt, seal, unseal
from domain.content import MAX_CONTENT_BYTES, ExtraFile, ProjectContent
from domain.deploy_options import DeployOptions, PullPolicy
from domain.errors import InvalidInput
from domain.project import ComposeFile, ProjectName
from domain.revision import ProjectHistory, RanImage, Revision, RevisionState
from domain.verification import ExpectedService

VERSION: Final = 1
MAX_STORED_CONTENT_BYTES: Final = MAX_CONTENT_BYTES + 1024 * 1024
MAX_ERROR_BYTES: Final = 8 * 1024

_CUT: Final = " [cut]"
_NUMBER: Final = re.compile(rb'"(?:next|number)":\s*(\d{1,9})\b')

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """A history, and the number of the next revision, which is above all that ever were."""

    history: ProjectHistory
    next_number: int = 1


def history_bytes(stored: StoredHistory) -> bytes:
    """What to write."""
    history = stored.history
    document = {
        "name": history.name.value,
        "next": stored.next_number,
        "current": history.current,
        "revisions": [asdict(revision) for revision in history.revisions],
    }
    return seal(VERSION, json.dumps(document, indent=1).encode() + b"\n")


def history_from(data: bytes, name: ProjectName) -> StoredHistory:
    """What was written; raises `Spoilt` or `NewerVersion`."""
    return _read(lambda: _history(json.loads(unseal(data, VERSION)), name))


def numbers_in(data: bytes) -> list[int]:
    """What can still be read in a history that is spoilt: numbers that revisions have or would have."""
    return [int(found) for found in _NUMBER.findall(data)]


def content_bytes(content: ProjectContent) -> bytes:
    """What to write."""
    document = {
        "version": VERSION,
        "file": len(content.file.content),
        "env": None if content.env is None else len(content.env),
        "files": [[extra.path, f"{extra.mode:04o}", len(extra.content)] for extra in content.files],
    }
    parts = [extra.content for extra in content.files]
    return b"".join(
        [json.dumps(document).encode(), b"\n", content.file.content, content.env or b"", *parts]
    )


def content_from(data: bytes, digest: str) -> ProjectContent:
    """What was written; raises `Spoilt` where it has not this digest, or `NewerVersion`."""
    line, _, body = data.partition(b"\n")
    content = _read(lambda: _content(json.loads(line), body))
    if content.digest != digest:
        raise Spoilt
    return content


def bounded(error: str) -> str:
    """The beginning of what is said of a failure."""
    encoded = error.encode("utf-8", "replace")
    if len(encoded) <= MAX_ERROR_BYTES:
        return encoded.decode()
    return encoded[: MAX_ERROR_BYTES - len(_CUT)].decode("utf-8", "ignore") + _CUT


def _read(read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, InvalidInput):
        raise Spoilt from None


def _history(document: dict[str, Any], name: ProjectName) -> StoredHistory:
    revisions = tuple(_revision(each) for each in document["revisions"])
    return StoredHistory(
        ProjectHistory(name, revisions, document["current"]), int(document["next"])
    )


def _revision(document: dict[str, Any]) -> Revision:
    return Revision(
        number=document["number"],
        digest=document["digest"],
        job_id=document["job_id"],
        created_at=document["created_at"],
        options=_options(document["options"]),
        state=RevisionState(document["state"]),
        error=document["error"],
        images=tuple(RanImage(**_known(RanImage, image)) for image in document["images"]),
        expected=tuple(
            ExpectedService(**_known(ExpectedService, service))
            for service in document.get("expected", ())
        ),
    )


def _options(document: dict[str, Any]) -> DeployOptions:
    values = _known(DeployOptions, document)
    values["pull"] = PullPolicy(values["pull"])
    values["profiles"] = tuple(values["profiles"])
    values["labels"] = tuple((name, value) for name, value in values["labels"])
    return DeployOptions(**values)


def _known(kind: type[Any], document: dict[str, Any]) -> dict[str, Any]:
    """The fields that a value has; what later agents add is for them."""
    return {one.name: document[one.name] for one in fields(kind) if one.name in document}


def _content(document: dict[str, Any], body: bytes) -> ProjectContent:
    if document["version"] > VERSION:
        raise NewerVersion(f"version {document['version']}, where this agent knows up to {VERSION}")
    sizes = [document["file"], document["env"] or 0, *(size for _, _, size in document["files"])]
    file, env, *contents = _divided(body, sizes)
    return ProjectContent(
        ComposeFile(file),
        None if document["env"] is None else env,
        tuple(
            ExtraFile(path, content, int(mode, 8))
            for (path, mode, _), content in zip(document["files"], contents, strict=True)
        ),
    )


def _divided(body: bytes, sizes: Iterable[int]) -> list[bytes]:
    parts, position = [], 0
    for size in sizes:
        parts.append(body[position : position + size])
        position += size
    return parts
