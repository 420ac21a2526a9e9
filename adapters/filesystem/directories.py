"""Directories through file descriptors: a path that is swapped under us leads nowhere.

Blocking. Every name is opened relative to the directory that was opened before it, and never through
a symbolic link (Portainer's CVE-2026-44881 is what happens otherwise).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from domain.errors import Conflict, InvalidInput

_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Modes:
    """Permission bits of what is created."""

    directory: int
    file: int


PUBLIC: Final = Modes(directory=0o755, file=0o644)
PRIVATE: Final = Modes(directory=0o700, file=0o600)


@contextlib.contextmanager
def opened(path: str, *, dir_fd: int | None = None, nofollow: bool = False) -> Iterator[int]:
    """A directory's descriptor for as long as the context lasts."""
    flags = _OPEN_DIRECTORY | (os.O_NOFOLLOW if nofollow else 0)
    fd = os.open(path, flags, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def descended(directory_fd: int, parts: Iterable[str]) -> Iterator[int]:
    """The descriptor of the directory at the end of a way.

    Raises `NotADirectoryError` where something else is on it, a symbolic link too.
    """
    with contextlib.ExitStack() as fds:
        for part in parts:
            directory_fd = fds.enter_context(opened(part, dir_fd=directory_fd, nofollow=True))
        yield directory_fd


def lstat(name: str, dir_fd: int) -> os.stat_result | None:
    """What there is of this name, links not followed; None where there is nothing."""
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def entries(directory_fd: int) -> list[str]:
    """What is in a directory."""
    return os.listdir(directory_fd)


def is_link(found: os.stat_result | None) -> bool:
    """Whether there is a symbolic link."""
    return found is not None and stat.S_ISLNK(found.st_mode)


def is_directory(found: os.stat_result | None) -> bool:
    """Whether there is a directory."""
    return found is not None and stat.S_ISDIR(found.st_mode)


def is_file(found: os.stat_result | None) -> bool:
    """Whether there is a regular file."""
    return found is not None and stat.S_ISREG(found.st_mode)


def refuse_links_on_the_way(directory_fd: int, path: PurePosixPath, field: str) -> None:
    """Raise `InvalidInput` where a symbolic link is on the way to a file, or in its place."""
    with contextlib.ExitStack() as fds:
        for part in path.parts:
            found = lstat(part, directory_fd)
            if is_link(found):
                raise InvalidInput(field, f"{part!r} in the project's directory is a symbolic link")
            if not is_directory(found):
                return
            directory_fd = fds.enter_context(opened(part, dir_fd=directory_fd, nofollow=True))


def refuse_obstacles(directory_fd: int, path: PurePosixPath, field: str) -> None:
    """Raise where a file cannot be put: for a link `InvalidInput`, for anything else `Conflict`."""
    refuse_links_on_the_way(directory_fd, path, field)
    with contextlib.ExitStack() as fds:
        for part in path.parts[:-1]:
            found = lstat(part, directory_fd)
            if found is None:
                return
            if not is_directory(found):
                raise Conflict(f"{field}: {part!r} in the project's directory is no directory")
            directory_fd = fds.enter_context(opened(part, dir_fd=directory_fd, nofollow=True))
        if is_directory(lstat(path.name, directory_fd)):
            raise Conflict(f"{field}: {path.name!r} in the project's directory is a directory")


def read_file(directory_fd: int, name: str, *, limit: int) -> bytes:
    """The first `limit` bytes of a file, which is no link."""
    fd = os.open(name, _READ_FILE, dir_fd=directory_fd)
    with os.fdopen(fd, "rb") as file:
        return file.read(limit)


def write_all(fd: int, content: bytes) -> None:
    """Write all of it, where one call may write less."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def make_directory(parent_fd: int, name: str, mode: int) -> bool:
    """Create a directory durably; returns whether it was not there before. A failure leaves nothing."""
    try:
        os.mkdir(name, mode, dir_fd=parent_fd)
    except FileExistsError:
        return False
    try:
        os.fsync(parent_fd)
    except BaseException:
        os.rmdir(name, dir_fd=parent_fd)
        raise
    return True
