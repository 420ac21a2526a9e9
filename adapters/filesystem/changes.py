"""Changes below one directory that are taken back, all of them, where one fails. Blocking."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Final

from adapters.filesystem import project_directory as on_disk
from adapters.filesystem.directories import descended, lstat, opened

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV})
"""A second name for a file cannot be had: on FAT, or for a file of another user."""
_NOT_THERE: Final = (FileNotFoundError, NotADirectoryError)


class Changes:
    """What was done so far below the directory; paths are relative to it.

    What stood in a place is kept at the directory's top, under a name that is swept as a staged file
    is, should this process die meanwhile.
    """

    def __init__(self, directory_fd: int) -> None:
        self._directory_fd = directory_fd
        self._kept: list[str] = []
        self._takes_back: list[Callable[[], None]] = []
        self._unsynced: set[PurePosixPath] = set()

    def move(self, source: PurePosixPath, target: PurePosixPath) -> None:
        """Put a file in the place of another, or of none, atomically."""
        with self._parent(source) as source_fd, self._parent(target) as target_fd:
            self._keep(target_fd, target)
            os.rename(source.name, target.name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
        self._unsynced.add(target.parent)

    def remove(self, path: PurePosixPath) -> None:
        """Take a file away."""
        kept = self._new_kept_name()
        with self._parent(path) as parent_fd:
            os.rename(path.name, kept, src_dir_fd=parent_fd, dst_dir_fd=self._directory_fd)
        self._takes_back.append(partial(self._put_back, kept, path))
        self._unsynced.add(path.parent)

    def make_directory(self, path: PurePosixPath, mode: int) -> None:
        """Make one; what is there already is left alone."""
        with self._parent(path) as parent_fd:
            if lstat(path.name, parent_fd) is not None:
                return
        self._takes_back.append(partial(self._remove_directory, path))
        self._create_directory(path, mode)
        self._unsynced.add(path.parent)

    def remove_empty_directory(self, path: PurePosixPath) -> None:
        """Take a directory away, if it is there and empty."""
        with contextlib.suppress(OSError):
            with self._parent(path) as parent_fd:
                found = lstat(path.name, parent_fd)
                os.rmdir(path.name, dir_fd=parent_fd)
            assert found is not None
            mode = stat.S_IMODE(found.st_mode)
            self._takes_back.append(partial(self._create_directory, path, mode))
            self._unsynced.add(path.parent)

    def sync(self) -> None:
        """Make all that was done durable."""
        for path in sorted(self._unsynced):
            # One that is gone again: its parent is among them.
            with contextlib.suppress(*_NOT_THERE), descended(self._directory_fd, path.parts) as fd:
                os.fsync(fd)
        self._unsynced.clear()

    def take_back(self) -> None:
        """Undo it, the last thing first, as far as the disk allows."""
        while self._takes_back:
            with contextlib.suppress(OSError):
                self._takes_back.pop()()

    def forget(self) -> None:
        """Let go of what was kept."""
        for kept in self._kept:
            with contextlib.suppress(OSError):
                on_disk.remove_staged(self._directory_fd, kept)

    def _parent(self, path: PurePosixPath) -> contextlib.AbstractContextManager[int]:
        return descended(self._directory_fd, path.parent.parts)

    def _keep(self, parent_fd: int, path: PurePosixPath) -> None:
        kept = self._new_kept_name()
        try:
            os.link(path.name, kept, src_dir_fd=parent_fd, dst_dir_fd=self._directory_fd)
        except FileNotFoundError:
            self._takes_back.append(partial(self._remove_file, path))
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
        else:
            self._takes_back.append(partial(self._put_back, kept, path))

    def _new_kept_name(self) -> str:
        kept = on_disk.new_staged_name()
        self._kept.append(kept)
        return kept

    def _put_back(self, kept: str, path: PurePosixPath) -> None:
        with self._parent(path) as parent_fd:
            os.rename(kept, path.name, src_dir_fd=self._directory_fd, dst_dir_fd=parent_fd)

    def _remove_file(self, path: PurePosixPath) -> None:
        with self._parent(path) as parent_fd:
            os.unlink(path.name, dir_fd=parent_fd)

    def _create_directory(self, path: PurePosixPath, mode: int) -> None:
        with self._parent(path) as parent_fd:
            os.mkdir(path.name, mode, dir_fd=parent_fd)
            # Whatever the umask.
            with opened(path.name, dir_fd=parent_fd, nofollow=True) as created_fd:
                os.fchmod(created_fd, mode)

    def _remove_directory(self, path: PurePosixPath) -> None:
        with self._parent(path) as parent_fd:
            os.rmdir(path.name, dir_fd=parent_fd)


@contextlib.contextmanager
def taken_back_on_failure(directory_fd: int) -> Iterator[Changes]:
    """Changes to a directory, which stay if the context is left well."""
    changes = Changes(directory_fd)
    try:
        yield changes
    except BaseException:
        changes.take_back()
        raise
    finally:
        changes.forget()
