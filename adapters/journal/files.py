"""What the journal asks of a file system, and nothing else does for it: a test can give it another one.

Blocking. Every method raises `OSError` as the system call does that it is named for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final


class LocalFiles:
    """The file systems of this machine."""

    def open(self, path: Path, flags: int) -> int:
        """A descriptor of the file; one that is made is for the agent's user alone."""
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode=0o600)

    def open_nameless(self, name: str) -> int:
        """A descriptor of a file in memory that nobody else can find."""
        return os.memfd_create(name)

    def duplicate(self, fd: int) -> int:
        """Another descriptor of the same file."""
        return os.dup(fd)

    def close(self, fd: int) -> None:
        """Let go of a descriptor."""
        os.close(fd)

    def size(self, fd: int) -> int:
        """How many bytes the file has."""
        return os.fstat(fd).st_size

    def free_bytes(self, fd: int) -> int:
        """How much room there is on the disk that holds the file."""
        disk = os.fstatvfs(fd)
        return disk.f_bavail * disk.f_frsize

    def read(self, fd: int, count: int, position: int) -> bytes:
        """What is there of so many bytes."""
        return os.pread(fd, count, position)

    def read_all(self, fd: int) -> bytes:
        """The whole content."""
        with os.fdopen(os.dup(fd), "rb") as file:
            file.seek(0)
            return file.read()

    def write(self, fd: int, data: bytes | bytearray, position: int) -> None:
        """Write all of `data`, where one call may write less."""
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, position)
            view, position = view[written:], position + written

    def allocate(self, fd: int, position: int, count: int) -> None:
        """Have room for these bytes, which are zeros where the file was shorter."""
        os.posix_fallocate(fd, position, count)

    def sync(self, fd: int) -> None:
        """Make all of a file durable."""
        os.fsync(fd)

    def sync_data(self, fd: int) -> None:
        """Make its content and its size durable."""
        os.fdatasync(fd)

    def sync_directory(self, path: Path) -> None:
        """Make what was created, renamed and removed in a directory durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_directory(self, path: Path) -> None:
        """Make a directory for the agent's user alone, and those above it."""
        path.mkdir(mode=0o700, parents=True)

    def exists(self, path: Path) -> bool:
        """Whether there is something, links followed."""
        return path.exists()

    def names(self, directory: Path) -> list[str]:
        """What is in a directory."""
        return [found.name for found in directory.iterdir()]

    def rename(self, path: Path, target: Path) -> None:
        """Give a file another name, in the place of what had that."""
        path.rename(target)

    def link(self, path: Path, other: Path) -> None:
        """Give a file another name beside its own."""
        os.link(path, other)

    def unlink(self, path: Path) -> None:
        """Take a name away."""
        path.unlink()


LOCAL_FILES: Final = LocalFiles()
