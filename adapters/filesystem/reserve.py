"""Room on the disk that is kept back, so that a small file can be replaced when the disk is full.

It consists of files that have their blocks already. One of them is written in place and renamed. To
remove one and write anew would give its blocks to whoever fills the disk, and takes them at once.
Blocking. Every method raises `OSError` as the system call does that failed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Final

from adapters.filesystem.directories import PRIVATE, lstat, opened
from adapters.filesystem.private_directory import PrivateDirectory

FILES: Final = 16
"""Two notes of each of the eight projects that are worked on at once, where nobody says otherwise."""
STEP_BYTES: Final = 16 * 1024
"""What they grow by: not all of them each time that what is replaced has grown by a block."""

_SPARE: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Reserve:
    """Files in a directory of its own, which has to be on the same disk as what is replaced."""

    def __init__(self, directory: Path) -> None:
        self._directory = PrivateDirectory(directory)
        self._names = tuple(map(str, range(FILES)))
        self._turns = threading.Lock()

    def fill(self, size: int) -> None:
        """Have all files, each with room for `size` bytes; again is harmless."""
        self._directory.make()
        with self._turns, opened(str(self._directory.path)) as directory_fd:
            for name in self._names:
                if _size(name, directory_fd) < size:
                    _allocate(name, directory_fd, -(-size // STEP_BYTES) * STEP_BYTES)
        # Nothing is synced: what a power failure takes of it is room again, and kept back anew.

    def replace(self, directory: PrivateDirectory, name: str, content: bytes) -> bool:
        """Put a file in the place of the one of this name, durably; False where no room is left."""
        with self._turns, contextlib.ExitStack() as fds:
            try:
                reserve_fd = fds.enter_context(opened(str(self._directory.path)))
            except FileNotFoundError:
                return False
            large = (one for one in self._names if _size(one, reserve_fd) >= len(content))
            spare = next(large, None)
            if spare is None:
                return False
            directory_fd = fds.enter_context(opened(str(directory.path)))
            _write_in_place(spare, reserve_fd, content)
            os.rename(spare, name, src_dir_fd=reserve_fd, dst_dir_fd=directory_fd)
            os.fsync(directory_fd)
            os.fsync(reserve_fd)
            return True


def _size(name: str, directory_fd: int) -> int:
    found = lstat(name, directory_fd)
    return -1 if found is None else found.st_size


def _allocate(name: str, directory_fd: int, size: int) -> None:
    fd = os.open(name, _SPARE | os.O_CREAT, mode=PRIVATE.file, dir_fd=directory_fd)
    try:
        os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)


def _write_in_place(name: str, directory_fd: int, content: bytes) -> None:
    fd = os.open(name, _SPARE, dir_fd=directory_fd)
    try:
        position = 0
        while position < len(content):
            position += os.pwrite(fd, content[position:], position)
        # Not before: until then the blocks are this file's, whatever happens.
        os.ftruncate(fd, len(content))
        os.fsync(fd)
    finally:
        os.close(fd)
