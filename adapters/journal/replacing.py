"""Files that are replaced whole or not at all, and damaged ones that are kept for people. Blocking."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from adapters.journal.files import LocalFiles
from domain.errors import StorageUnavailable

NEW_SUFFIX: Final = ".new"
DAMAGED_INFIX: Final = ".damaged-"
DAMAGED_KEPT: Final = 3
"""Damaged files of one name that are kept for people to look at; older ones go."""

_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL


def replace(files: LocalFiles, path: Path, write: Callable[[int], None]) -> int:
    """Put a new file, as `write` fills it, in the place of `path`, durably; returns its descriptor.

    Raises `OSError` with the old one still there, and `StorageUnavailable` where it cannot be known
    which of the two is found after a crash.
    """
    new = _new(path)
    fd = files.open(new, _CREATE)
    try:
        write(fd)
        files.sync(fd)
        files.rename(new, path)
    except BaseException:
        files.close(fd)
        with contextlib.suppress(OSError):
            files.unlink(new)
        raise
    try:
        files.sync_directory(path.parent)
    except OSError as exc:
        files.close(fd)
        raise StorageUnavailable(f"{path} cannot be used: {exc.strerror}") from exc
    return fd


def discard_unfinished(files: LocalFiles, path: Path) -> None:
    """Remove what a process left that was killed while it replaced `path`."""
    with contextlib.suppress(FileNotFoundError):
        files.unlink(_new(path))


def set_aside(files: LocalFiles, path: Path, put_right: Callable[[], None]) -> str:
    """Keep the file under another name while `put_right` replaces it; says what became of it.

    Where a disk does not let it, the file stays where it is.
    """
    prefix = f"{path.name}{DAMAGED_INFIX}"
    found = [name for name in files.names(path.parent) if name.startswith(prefix)]
    suffixes = [name.removeprefix(prefix) for name in found]
    kept = sorted(int(suffix) for suffix in suffixes if suffix.isdecimal())
    aside = path.with_name(f"{prefix}{kept[-1] + 1 if kept else 1}")
    try:
        files.link(path, aside)
        put_right()
    except OSError as exc:
        with contextlib.suppress(OSError):
            files.unlink(aside)
        return f"it could not be set aside: {exc.strerror}"
    for old in kept[: len(kept) + 1 - DAMAGED_KEPT]:
        files.unlink(path.with_name(f"{prefix}{old}"))
    return f"the damaged file is kept as {aside.name}"


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}{NEW_SUFFIX}")
