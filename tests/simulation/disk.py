"""A disk for the journal, which forgets what was not synced when the power goes.

Of the writes that were not synced, any may be found again, and torn at any byte; of the names that
were changed and not synced, the first ones up to any. A process that is only killed loses nothing.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from adapters.journal.files import LocalFiles
from tests.simulation.loop import Killed

DIRECTORY = Path("/state")


@dataclass(slots=True)
class _Write:
    position: int
    data: bytes


@dataclass(slots=True, eq=False)
class _File:
    content: bytearray = field(default_factory=bytearray)
    """What is read."""
    durable: bytearray = field(default_factory=bytearray)
    pending: list[_Write] = field(default_factory=list)

    def apply(self, write: _Write) -> None:
        _put(self.content, write)
        self.pending.append(write)

    def sync(self) -> None:
        for write in self.pending:
            _put(self.durable, write)
        self.pending.clear()

    def lose_power(self, rng: Random) -> bool:
        """Returns whether something that was written is not there, or not whole."""
        is_torn = False
        for write in self.pending:
            fate = rng.random()
            if fate < 0.4:
                _put(self.durable, write)
            elif fate < 0.7 and len(write.data) > 1:
                _put(
                    self.durable,
                    _Write(write.position, write.data[: rng.randrange(len(write.data))]),
                )
                is_torn = True
            else:
                is_torn = True
        self.pending.clear()
        self.content = bytearray(self.durable)
        return is_torn


def _put(content: bytearray, write: _Write) -> None:
    gap = write.position - len(content)
    if gap > 0:
        content.extend(bytes(gap))
    content[write.position : write.position + len(write.data)] = write.data


Names = dict[Path, _File]


class SimulatedDisk:
    """Outlives the processes that use it, each through `SimulatedFiles` of its own."""

    def __init__(self, rng: Random) -> None:
        self.is_full = False
        self.syncs_to_fail = 0
        self.counts: Counter[str] = Counter()
        self._rng = rng
        self._names: Names = {}
        self._durable_names: Names = {}
        self._changes: list[Callable[[Names], None]] = []

    def lose_power(self) -> None:
        """What is found afterwards."""
        kept = self._rng.randrange(len(self._changes) + 1)
        for change in self._changes[:kept]:
            change(self._durable_names)
        self.counts["names lost"] += len(self._changes) - kept
        self._changes.clear()
        self._names = dict(self._durable_names)
        for file in {id(file): file for file in self._names.values()}.values():
            self.counts["torn writes"] += file.lose_power(self._rng)

    def content(self, name: str) -> bytes:
        """What a process reads."""
        file = self._names.get(DIRECTORY / name)
        return b"" if file is None else bytes(file.content)


class SimulatedFiles(LocalFiles):
    """One process's way to the disk. `die_in` may be set to a number of calls after which it is killed."""

    def __init__(self, disk: SimulatedDisk, kill: Callable[[], None], rng: Random) -> None:
        self._disk = disk
        self._kill = kill
        self._rng = rng
        self._open: dict[int, _File] = {}
        self._next_fd = 3
        self.is_dead = False
        self.die_in: int | None = None

    def open(self, path: Path, flags: int) -> int:
        found = self._disk._names.get(path)
        if flags & os.O_CREAT:
            self._live()
            assert found is None, f"{path} is there"
            found = made = _File()
            self._change(lambda names: names.__setitem__(path, made))
        if found is None:
            raise _error(errno.ENOENT)
        return self._descriptor(found)

    def open_nameless(self, name: str) -> int:
        return self._descriptor(_File())

    def duplicate(self, fd: int) -> int:
        return self._descriptor(self._open[fd])

    def close(self, fd: int) -> None:
        del self._open[fd]

    def size(self, fd: int) -> int:
        return len(self._open[fd].content)

    def free_bytes(self, fd: int) -> int:
        return 0 if self._disk.is_full else 1 << 30

    def read(self, fd: int, count: int, position: int) -> bytes:
        return bytes(self._open[fd].content[position : position + count])

    def read_all(self, fd: int) -> bytes:
        return bytes(self._open[fd].content)

    def write(self, fd: int, data: bytes | bytearray, position: int) -> None:
        file = self._open[fd]
        if self._disk.is_full and position + len(data) > len(file.content):
            raise _error(errno.ENOSPC)
        torn = self._rng.randrange(len(data) + 1) if self.die_in == 1 else 0
        if torn:
            file.apply(_Write(position, bytes(data[:torn])))
        self._live()
        file.apply(_Write(position, bytes(data)))

    def allocate(self, fd: int, position: int, count: int) -> None:
        file = self._open[fd]
        more = position + count - len(file.content)
        if more <= 0:
            return
        if self._disk.is_full:
            raise _error(errno.ENOSPC)
        self._live()
        file.apply(_Write(len(file.content), bytes(more)))

    def sync(self, fd: int) -> None:
        self._live()
        if self._disk.syncs_to_fail:
            self._disk.syncs_to_fail -= 1
            self._disk.counts["failed syncs"] += 1
            raise _error(errno.EIO)
        self._open[fd].sync()

    def sync_data(self, fd: int) -> None:
        self.sync(fd)

    def sync_directory(self, path: Path) -> None:
        self._live()
        for change in self._disk._changes:
            change(self._disk._durable_names)
        self._disk._changes.clear()

    def make_directory(self, path: Path) -> None:
        raise _error(errno.EEXIST)

    def exists(self, path: Path) -> bool:
        return path in self._disk._names

    def names(self, directory: Path) -> list[str]:
        return sorted(path.name for path in self._disk._names)

    def rename(self, path: Path, target: Path) -> None:
        self._live()
        self._change(lambda names: _rename(names, path, target))

    def link(self, path: Path, other: Path) -> None:
        self._live()
        file = self._disk._names[path]
        self._change(lambda names: names.__setitem__(other, file))

    def unlink(self, path: Path) -> None:
        if path not in self._disk._names:
            raise _error(errno.ENOENT)
        self._live()
        self._change(lambda names: names.pop(path, None))

    def _descriptor(self, file: _File) -> int:
        fd, self._next_fd = self._next_fd, self._next_fd + 1
        self._open[fd] = file
        return fd

    def _change(self, change: Callable[[Names], object]) -> None:
        def applied(names: Names) -> None:
            change(names)

        applied(self._disk._names)
        self._disk._changes.append(applied)

    def _live(self) -> None:
        """Here a process is killed, where it is to be: before the call has an effect."""
        if self.is_dead:
            raise Killed
        if self.die_in is not None:
            self.die_in -= 1
            if self.die_in == 0:
                self._kill()
                raise Killed


def _rename(names: Names, path: Path, target: Path) -> None:
    if path in names:
        names[target] = names.pop(path)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
