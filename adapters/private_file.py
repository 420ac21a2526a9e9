"""Small files that nobody but their owner reads, and that are there whole or not at all. Blocking.

What is wrong with a file that is there is for its reader to say, who knows what it is worth and to
whom. Every function raises `OSError` as the system call does that failed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO, Final

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def open_private(path: Path, *, follow_links: bool) -> BinaryIO:
    """Open it to be looked at by `os.fstat` and then read. Nobody is waited for, should it be a pipe."""
    more = os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | more))


def put_private(path: Path, content: bytes, *, replace: bool, new: Path | None = None) -> None:
    """Have it there durably, for its owner alone from its first byte; see `publish`.

    Where this fails, what was there is still there, unless it was the directory that could not be made
    durable. It is written as `new`, which is left where the process is killed; without one, under a
    name that nobody else takes at the same time.
    """
    new = new or path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        fd = os.open(new, _NEW, 0o600)
        try:
            while content:
                content = content[os.write(fd, content) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        publish(new, path, replace=replace)
    finally:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)


def publish(new: Path, path: Path, *, replace: bool) -> None:
    """Give a new file its name, durably; `FileExistsError` where one has it that is not to be replaced."""
    if replace:
        new.replace(path)
    else:
        os.link(new, path)  # A rename would take the name from whoever has it.
        new.unlink()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make durable what was made, renamed and removed in it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
