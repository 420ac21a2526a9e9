"""One small file that nobody but its owner reads, written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from adapters.private_file import open_private, put_private
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
            file = open_private(path, follow_links=False)
        except FileNotFoundError:
            return None
        except OSError:
            # Opening a link fails in words that are about loops.
            if path.is_symlink():
                raise InvalidInput(str(path), "must be a file, and no link to one") from None
            raise
        with file:
            _check(path, os.fstat(file.fileno()), limit)
            return file.read()


def write_private(path: Path, content: bytes, *, replace: bool) -> None:
    """Make it durable, for the owner alone from its first byte.

    Where it fails, or is killed, what was there is still there. Raises `StorageUnavailable`, also
    where there is a file and it is not to be replaced.
    """
    new = path.with_name(path.name + NEW_SUFFIX)
    with translated(path):
        new.unlink(missing_ok=True)  # Of one that was killed here.
        put_private(path, content, replace=replace, new=new)


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
