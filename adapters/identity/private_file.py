"""One small file that nobody but its owner reads, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from adapters.storage_errors import translated
from domain.errors import InvalidInput

NEW_SUFFIX: Final = ".new"
_OTHERS: Final = 0o077


def read_private(path: Path, *, limit: int) -> bytes | None:
    """What is in it; None where there is no file.

    Raises `InvalidInput` where others may read it, or it is no file, or longer than `limit`, and
    `StorageUnavailable` where it cannot be read.
    """
    with translated(path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError:
            # Opening a link fails in words that are about loops.
            if path.is_symlink():
                raise InvalidInput(str(path), "must be a file, and no link to one") from None
            raise
        with os.fdopen(fd, "rb") as file:
            _check(path, os.fstat(fd), limit)
            return file.read()


def write_private(path: Path, content: bytes, *, replace: bool) -> None:
    """Make it durable, for the owner alone from its first byte.

    Where it fails, or is killed, what was there is still there. Raises `StorageUnavailable`, also
    where there is a file and it is not to be replaced.
    """
    new = path.with_name(path.name + NEW_SUFFIX)
    try:
        with translated(path):
            new.unlink(missing_ok=True)  # Of one that was killed here.
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                while content:
                    content = content[os.write(fd, content) :]
                os.fsync(fd)
            finally:
                os.close(fd)
            if replace:
                new.replace(path)
            else:
                os.link(new, path)  # A rename would take the name from whoever has it.
            _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def _check(path: Path, found: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput(str(path), "must be a file")
    if found.st_uid != os.geteuid():
        raise InvalidInput(
            str(path), f"belongs to the user {found.st_uid}, and this is the user {os.geteuid()}"
        )
    if found.st_mode & _OTHERS:
        raise InvalidInput(
            str(path),
            f"has the mode {stat.S_IMODE(found.st_mode):04o}, so that others may have read the key "
            "in it; if they cannot have, give it the mode 0600, otherwise remove it and enrol anew",
        )
    if found.st_size > limit:
        raise InvalidInput(str(path), f"is damaged: it has {found.st_size} bytes")


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
