"""A project's directory, from which nothing is read that lies outside of it.

A project may come from a stranger's repository: a link in it that leads to a private key must not
send that key. So a path's links are followed once, what they lead to has to lie in the directory,
and then it is opened part by part without following any.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from domain.errors import InvalidInput

_OPENED_SAFELY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class EntryKind(StrEnum):
    """What a path names, behind its links."""

    FILE = "file"
    DIRECTORY = "directory"
    OTHER = "device, socket or pipe"


@dataclass(frozen=True, slots=True)
class Entry:
    """What was found at a path. `real` is where it lies, relative to the project's directory."""

    real: str
    kind: EntryKind
    size: int
    permissions: int
    is_link: bool


class ProjectFolder:
    """Paths are relative to the directory, with slashes; `.` is the directory itself.

    Whatever cannot be had raises `InvalidInput`, whose field is the path.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)

    @property
    def root(self) -> str:
        """Where it really lies."""
        return self._root

    def look(self, path: str) -> Entry | None:
        """What is there, or None; a link that leads nowhere, or out of the directory, is refused."""
        full = f"{self._root}/{path}"
        try:
            real = os.path.realpath(full, strict=True)
            status = os.lstat(real)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.lexists(full):
                raise InvalidInput(path, "is a symbolic link that leads nowhere") from None
            return None
        except OSError as exc:
            raise InvalidInput(path, f"cannot be looked at: {exc.strerror}") from None
        within = os.path.relpath(real, self._root)
        if within == ".." or within.startswith("../"):
            raise InvalidInput(
                path, "is, or lies behind, a symbolic link that leaves the project's directory"
            )
        is_link = within != os.path.normpath(path)
        return Entry(within, _kind_of(status), status.st_size, status.st_mode & 0o777, is_link)

    def names_in(self, entry: Entry, path: str) -> list[str]:
        """What a directory holds, in order."""
        with self._opened(entry, path, os.O_DIRECTORY) as descriptor:
            return sorted(os.listdir(descriptor))  # noqa: PTH208 - Of what is open, not of a path.

    def read(self, path: str, limit: int) -> bytes:
        """A regular file of at most `limit` bytes."""
        entry = self.look(path)
        if entry is None:
            raise InvalidInput(path, "is not there")
        return self.read_entry(entry, path, limit)

    def read_entry(self, entry: Entry, path: str, limit: int) -> bytes:
        """The same, of what `look` has found."""
        if entry.kind is not EntryKind.FILE:
            raise InvalidInput(path, f"must be a file; it is a {entry.kind}")
        with self._opened(entry, path) as descriptor:
            return read_bounded(descriptor, path, limit)

    @contextmanager
    def _opened(self, entry: Entry, path: str, flags: int = 0) -> Iterator[int]:
        descriptors: list[int] = []
        try:
            try:
                parts = [] if entry.real == "." else entry.real.split("/")
                descriptors.append(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                for number, part in enumerate(parts, 1):
                    more = flags if number == len(parts) else os.O_DIRECTORY
                    descriptors.append(os.open(part, _OPENED_SAFELY | more, dir_fd=descriptors[-1]))
            except OSError as exc:
                raise InvalidInput(path, f"cannot be read: {exc.strerror}") from None
            yield descriptors[-1]
        finally:
            for descriptor in reversed(descriptors):
                with suppress(OSError):
                    os.close(descriptor)


def read_named(path: Path, limit: int) -> bytes:
    """A file that the operator has named, wherever it lies; raises `InvalidInput`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise InvalidInput(str(path), f"cannot be read: {exc.strerror}") from None
    try:
        return read_bounded(descriptor, str(path), limit)
    finally:
        os.close(descriptor)


def read_bounded(descriptor: int, path: str, limit: int) -> bytes:
    """All of an open regular file, whose size is looked at first; raises `InvalidInput`."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(path, f"must be a file; it is a {_kind_of(status)}")
        if status.st_size > limit:
            raise InvalidInput(
                path, f"is {status.st_size} bytes long; at most {limit} bytes are read"
            )
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    except OSError as exc:
        raise InvalidInput(path, f"cannot be read: {exc.strerror}") from None
    if len(content) > limit:
        raise InvalidInput(path, "has grown while it was read; try again")
    return content


def _kind_of(status: os.stat_result) -> EntryKind:
    if stat.S_ISREG(status.st_mode):
        return EntryKind.FILE
    return EntryKind.DIRECTORY if stat.S_ISDIR(status.st_mode) else EntryKind.OTHER
