"""A directory in the agent's state, whose files are replaced whole or not at all. Blocking.

All in it is for the agent's user alone, from its first byte. Every method raises `OSError` as the
system call does that failed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

from adapters.filesystem.directories import PRIVATE, entries, opened, read_file, write_all

NEW_SUFFIX: Final = ".new"

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateDirectory:
    """It is made, with all above it, when a file is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """What is in it, unfinished files too; nothing where it is not there."""
        try:
            with opened(str(self.path)) as directory_fd:
                return entries(directory_fd)
        except FileNotFoundError:
            return []

    def read(self, name: str, *, limit: int) -> bytes:
        """The first `limit` bytes of a file."""
        with opened(str(self.path)) as directory_fd:
            return read_file(directory_fd, name, limit=limit)

    def replace(self, name: str, content: bytes) -> None:
        """Put a file in the place of the one of this name, durably.

        Where this raises, the old one is there; but where the directory could not be made durable,
        which of the two is found after a crash cannot be known.
        """
        self.make()
        with opened(str(self.path)) as directory_fd:
            new = f"{name}{NEW_SUFFIX}"
            _unlink(directory_fd, new)  # Of a process that was killed.
            fd = os.open(new, _CREATE, mode=PRIVATE.file, dir_fd=directory_fd)
            try:
                try:
                    write_all(fd, content)
                    os.fsync(fd)
                finally:
                    os.close(fd)
                os.rename(new, name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(new, dir_fd=directory_fd)
                raise
            os.fsync(directory_fd)

    def remove(self, *names: str) -> None:
        """Remove files, durably, and what was left of unfinished ones; harmless where there are none."""
        with contextlib.suppress(FileNotFoundError), opened(str(self.path)) as directory_fd:
            for name in names:
                _unlink(directory_fd, name)
                _unlink(directory_fd, f"{name}{NEW_SUFFIX}")
            os.fsync(directory_fd)

    def remove_directories(self, *names: str) -> None:
        """Remove directories with all that is in them; harmless where there are none."""
        with contextlib.suppress(FileNotFoundError), opened(str(self.path)) as directory_fd:
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(name, dir_fd=directory_fd)
            os.fsync(directory_fd)

    def sync(self) -> None:
        """Make durable what an earlier call may not have."""
        with opened(str(self.path)) as directory_fd:
            os.fsync(directory_fd)

    def make(self) -> None:
        """Make it, where it is not there."""
        missing = [path for path in (self.path, *self.path.parents) if not path.exists()]
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                path.mkdir(PRIVATE.directory)
            with opened(str(path.parent)) as parent_fd:
                os.fsync(parent_fd)


def name_for(job_id: str) -> str:
    """A file name for any job's id."""
    return hashlib.sha256(job_id.encode("utf-8", "surrogatepass")).hexdigest()


def _unlink(directory_fd: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory_fd)
