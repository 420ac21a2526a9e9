"""Whether what was found is too much to be sent, said before any of it is read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from domain.content import MAX_CONTENT_BYTES, MAX_FILES

MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024
"""Of a request to the control plane's API, whose files are in base64."""
OFFENDERS_SHOWN: Final = 5
ADVICE: Final = (
    "Leave out with a .dockerignore what an image is not built of, push an image instead of "
    "building it on the host, or put the data on the host and mount it by an absolute path."
)

_AROUND_A_FILE_BYTES: Final = 64
_AROUND_ALL_BYTES: Final = 16 * 1024
"""For the options of a deployment."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that would be sent: path from the project's directory, size in bytes, mode to be sent."""

    path: str
    size: int
    mode: int


def excesses(files: Sequence[FoundFile], compose: bytes, env: bytes | None) -> Iterator[str]:
    """A sentence for each limit that is passed; it names the largest, and says what to do."""
    if len(files) > MAX_FILES:
        yield (
            f"files: {len(files)} files belong to the project; at most {MAX_FILES} can be sent. "
            f"Most are in {_crowded(files)}. {ADVICE}"
        )
    total = sum(file.size for file in files) + len(compose) + len(env or b"")
    if total > MAX_CONTENT_BYTES:
        yield (
            f"files: with compose file and env they are {total} bytes; at most "
            f"{MAX_CONTENT_BYTES} (4 MiB) can be sent. The largest: {_largest(files)}. {ADVICE}"
        )
    elif (request := _request_bytes(files, compose, env)) > MAX_REQUEST_BYTES:
        yield (
            f"files: encoded for the control plane they are {request} bytes; a request has at "
            f"most {MAX_REQUEST_BYTES} (8 MiB). The largest: {_largest(files)}. {ADVICE}"
        )


def _request_bytes(files: Iterable[FoundFile], compose: bytes, env: bytes | None) -> int:
    texts = (compose, env or b"")
    encoded = sum(len(json.dumps(text.decode("utf-8", "replace"))) for text in texts)
    for file in files:
        encoded += len(json.dumps(file.path)) + (file.size + 2) // 3 * 4 + _AROUND_A_FILE_BYTES
    return encoded + _AROUND_ALL_BYTES


def _largest(files: Iterable[FoundFile]) -> str:
    ordered = sorted(files, key=lambda file: (-file.size, file.path))[:OFFENDERS_SHOWN]
    return ", ".join(f"{file.path} ({_amount(file.size)})" for file in ordered) or "no other file"


def _crowded(files: Iterable[FoundFile]) -> str:
    """The directories with the most files, by the first two parts of their paths."""
    directories = Counter("/".join(file.path.split("/")[:-1][:2]) or "." for file in files)
    ordered = sorted(directories.items(), key=lambda item: (-item[1], item[0]))[:OFFENDERS_SHOWN]
    return ", ".join(f"{directory} ({count})" for directory, count in ordered)


def _amount(size: int) -> str:
    for unit, bytes_in_it in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if size >= bytes_in_it:
            return f"{size / bytes_in_it:.1f} {unit}"
    return f"{size} bytes"
