"""Paths that a compose file names: which are of this host at all, and which stay in the project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import dropwhile
from typing import Final

NOT_HERE: Final = "must name a file of the project, not something that has to be fetched"
OUTSIDE: Final = "must stay in the project's directory"

_REMOTE = re.compile(
    r"""
    [a-z][a-z0-9+.-]*://            # https://, oci://, ssh://, git://, docker-image://
    | (?:git|oci|ssh|https?):       # what a lenient reader takes for one of these
    | [^/@\s]+@[^/:\s]+:            # git@host:path
    | github\.com/
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_remote(source: str) -> bool:
    """Whether what should be a path names something that would have to be fetched."""
    return _REMOTE.match(source.strip()) is not None


def problem_in(path: str) -> str | None:
    """Why the text cannot be let through as the path of a file that is read unseen."""
    if is_remote(path):
        return NOT_HERE
    if "$" in path:
        return "must not use variables: what it names has to be known before Compose reads it"
    if path.startswith(("/", "~")) or "\\" in path:
        return "must be relative to the project's directory"
    if any(not character.isprintable() for character in path):
        return "must not contain control characters"
    # At the beginning, it climbs from a directory that is known to be none of the links.
    if ".." in _after_first_climbs(path.split("/")):
        return "must not turn back with '..' on its way"  # Behind a link, that is somewhere else.
    return None


def joined(directory: str, path: str) -> str | None:
    """A path from a directory, without `.` and `..`; None where it leaves the project's directory."""
    result: list[str] = []
    for part in f"{directory}/{path}".split("/"):
        if part == "..":
            if not result:
                return None
            result.pop()
        elif part not in ("", "."):
            result.append(part)
    return "/".join(result) or "."


def directory_of(path: str) -> str:
    """Where a file lies."""
    return path.rpartition("/")[0] or "."


def _after_first_climbs(parts: list[str]) -> Iterator[str]:
    return dropwhile(lambda part: part in (".", ".."), parts)
