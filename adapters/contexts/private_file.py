"""Small files of the operator's own: nobody else reads them, and they are there whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from adapters import storage_errors
from adapters.private_file import open_private, put_private
from domain.errors import InvalidInput

LARGEST: Final = 1024 * 1024
_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o022

translated: Final = partial(storage_errors.translated, hints={})
"""Without the hints, which are about the agent's user."""


def read_file(path: Path, *, is_secret: bool) -> bytes | None:
    """What is in it; None where there is none.

    Raises `InvalidInput` where it is not ours, too large, or others may change it, or of a secret
    read it; `StorageUnavailable` where it cannot be read.
    """
    with translated(path):
        try:
            file = open_private(path, follow_links=True)
        except FileNotFoundError:
            return None
        with file:
            _check(path, os.fstat(file.fileno()), is_secret=is_secret)
            return file.read(LARGEST)


def write_file(path: Path, content: bytes) -> None:
    """Replace it in one step; 0600 from its first byte. Raises `StorageUnavailable`."""
    with translated(path):
        put_private(path, content, replace=True)


def make_directory(path: Path) -> None:
    """A directory that is there afterwards, 0700 where it had to be made. Raises `StorageUnavailable`."""
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)


def check_private_directory(path: Path) -> None:
    """Raises `InvalidInput` where others than its user get into it, or it is none."""
    with translated(path):
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise InvalidInput(str(path), "must be a directory")
    if found.st_uid != os.geteuid() or found.st_mode & _OTHERS:
        raise InvalidInput(
            str(path),
            f"holds tokens, belongs to the user {found.st_uid} and has the mode "
            f"{stat.S_IMODE(found.st_mode):04o}; it must be yours, and 0700: chmod 700 it",
        )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else who asks for this lock is in here meanwhile; `path` is a file that may stay."""
    with translated(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with translated(path):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _check(path: Path, found: os.stat_result, *, is_secret: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput(str(path), "must be a file")
    if found.st_uid not in (os.geteuid(), 0):
        raise InvalidInput(str(path), f"belongs to the user {found.st_uid}, and must be yours")
    if is_secret and found.st_mode & _OTHERS:
        raise InvalidInput(
            str(path),
            f"has the mode {stat.S_IMODE(found.st_mode):04o}, so that others may have read the tokens in "
            "it: revoke them, remove the file, and log in again",
        )
    if found.st_mode & _OTHERS_WRITE:
        raise InvalidInput(
            str(path), "can be changed by others, who may send your token anywhere: chmod 600 it"
        )
    if found.st_size > LARGEST:
        raise InvalidInput(str(path), f"is larger than {LARGEST} bytes")
