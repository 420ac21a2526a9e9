"""Paths of the host, compared as the engine compares them: by their text alone.

What a symbolic link makes of a path only the file system knows; see `HostPlaces.real_paths`.
"""

from __future__ import annotations

from typing import Final

_ALIASES: Final = (("/var/run", "/run"), ("/var/lock", "/run/lock"))
"""Links that every host has."""
_SOMEBODYS_HOME: Final = "/root"


def clean(path: str, base: str = "/") -> str:
    """The one spelling of a path: absolute, without `.`, `..`, doubled slashes and a last one."""
    if path.startswith("~"):  # Compose knows whose home it is. It is nobody's business here.
        path = _SOMEBODYS_HOME + path.lstrip("~")
    if not path.startswith("/"):
        path = f"{base}/{path}"
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    cleaned = "/" + "/".join(parts)
    for alias, real in _ALIASES:
        if contains(alias, cleaned):
            return real + cleaned.removeprefix(alias)
    return cleaned


def contains(directory: str, path: str) -> bool:
    """Whether a clean path is the directory, or below it."""
    return directory in ("/", path) or path.startswith(f"{directory}/")


def climbs(path: str) -> bool:
    """Whether what the path means hangs on where a link in it leads."""
    return ".." in path.split("/")
