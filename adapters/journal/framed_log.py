"""An append-only file of records under the agent's state directory. Blocking.

What `append` returned from is on the disk. What a crash tore or a disk spoilt is found when the file
is opened, set aside, and never read as something else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.journal import framing
from adapters.storage_errors import translated
from domain.errors import StorageUnavailable

JOURNAL_FILE: Final = "journal"
NEW_FILE: Final = "journal.new"
DAMAGED_PREFIX: Final = "journal.damaged-"
DAMAGED_KEPT: Final = 3
"""Damaged files that are kept for people to look at; older ones go."""
CHUNK_BYTES: Final = 1024 * 1024
"""What the file grows by."""
RESERVE_BYTES: Final = 1024 * 1024
"""Space that is allocated ahead for what has to be recorded on a full disk too."""

_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was in the file when it was opened."""

    payloads: Sequence[bytes]
    damage: str
    """What was found to be lost, in a sentence for people; empty where nothing was."""


class FramedLog:
    """One file, one writer. After a write that failed it refuses more until it is opened again.

    What such a write left is unknown: its records may be found when the file is opened again, or not.
    """

    def __init__(
        self,
        directory: Path,
        *,
        reserve_bytes: int = RESERVE_BYTES,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._directory = directory
        self._path = directory / JOURNAL_FILE
        self._reserve_bytes = reserve_bytes
        self._chunk_bytes = chunk_bytes
        self._fd = -1
        self._end = 0
        self._allocated = 0
        self._next_number = 1

    @property
    def used_bytes(self) -> int:
        """How much of the file is records; whoever knows which are obsolete calls `rewrite`."""
        return self._end

    def open(self) -> Recovered:
        """Read what is there, or begin a new file.

        Raises `StorageUnavailable` where the directory cannot be used, or a newer agent wrote the
        file, which is then left untouched.
        """
        with translated(self._path):
            self._make_directory()
            with contextlib.suppress(FileNotFoundError):
                (self._directory / NEW_FILE).unlink()
            try:
                fd = os.open(self._path, _OPEN)
            except FileNotFoundError:
                self._replace(())
                return Recovered((), "")
            try:
                data = _read_all(fd)
                found = framing.scan(data)
            except framing.NewerVersion as exc:
                os.close(fd)
                raise StorageUnavailable(
                    f"{self._path} was written by a newer agent ({exc}); install that one again, "
                    "or move the file away, and with it what the agent knows of its jobs"
                ) from exc
            except BaseException:
                os.close(fd)
                raise
            self._adopt(fd, end=found.end, allocated=len(data))
            self._next_number = len(found.payloads) + found.missing + 1
            return Recovered(found.payloads, "" if found.is_whole else self._set_aside(found))

    def append(self, payloads: Sequence[bytes], *, from_reserve: bool = False) -> None:
        """Write records and wait until the disk has them: all of them, or an error.

        With `from_reserve` the space that is kept back may be used. Raises `NoSpace` before anything
        is written, `StorageUnavailable` where the disk fails.
        """
        if self._fd < 0:
            raise StorageUnavailable(f"{self._path} is not open, or failed before")
        data = b"".join(
            framing.frame(number, payload)
            for number, payload in enumerate(payloads, self._next_number)
        )
        with translated(self._path):
            self._allocate(self._end + len(data) + (0 if from_reserve else self._reserve_bytes))
            try:
                _write_at(self._fd, data, self._end)
                os.fdatasync(self._fd)
            except BaseException:
                self.close()
                raise
        self._end += len(data)
        self._next_number += len(payloads)

    def rewrite(self, payloads: Iterable[bytes]) -> None:
        """Replace all records, atomically. Raises as `append` does; the old file then stays in use."""
        with translated(self._path):
            self._replace(payloads)

    def close(self) -> None:
        """Let go of the file; a second call is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _allocate(self, upto: int) -> None:
        # One byte more: every file ends with unused space.
        short = upto + 1 - self._allocated
        if short > 0:
            grown = -(-short // self._chunk_bytes) * self._chunk_bytes
            os.posix_fallocate(self._fd, self._allocated, grown)
            self._allocated += grown

    def _adopt(self, fd: int, *, end: int, allocated: int) -> None:
        self.close()
        self._fd, self._end, self._allocated = fd, end, allocated

    def _replace(self, payloads: Iterable[bytes]) -> None:
        path = self._directory / NEW_FILE
        fd = os.open(path, _CREATE, mode=0o600)
        try:
            end, count = framing.HEADER_BYTES, 0
            _write_at(fd, framing.header(), 0)
            for count, payload in enumerate(payloads, 1):
                data = framing.frame(count, payload)
                _write_at(fd, data, end)
                end += len(data)
            allocated = -(-(end + self._reserve_bytes + 1) // self._chunk_bytes) * self._chunk_bytes
            os.posix_fallocate(fd, 0, allocated)
            os.fsync(fd)
            path.rename(self._path)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self._adopt(fd, end=end, allocated=allocated)
        self._next_number = count + 1
        try:
            _sync_directory(self._directory)
        except BaseException:
            self.close()
            raise

    def _set_aside(self, found: framing.Scan) -> str:
        """Keep the damaged file under another name, and go on with what is intact in a new one."""
        lost = (
            f"{found.damaged_bytes} bytes are damaged and at least {found.missing} records are lost"
            + (", and the file was cut" if found.is_cut else "")
        )
        suffixes = [
            path.name.removeprefix(DAMAGED_PREFIX)
            for path in self._directory.glob(f"{DAMAGED_PREFIX}*")
        ]
        kept_already = sorted(int(suffix) for suffix in suffixes if suffix.isdecimal())
        number = kept_already[-1] + 1 if kept_already else 1
        aside = self._directory / f"{DAMAGED_PREFIX}{number}"
        try:
            os.link(self._path, aside)
            self._replace(found.payloads)
        except OSError as exc:
            if self._fd < 0:
                raise
            # Behind the damage there is room for more: on a full disk it stays where it is.
            with contextlib.suppress(OSError):
                aside.unlink()
            return f"{self._path}: {lost}; it could not be set aside: {exc.strerror}"
        for old in kept_already[: len(kept_already) + 1 - DAMAGED_KEPT]:
            (self._directory / f"{DAMAGED_PREFIX}{old}").unlink()
        return f"{self._path}: {lost}; the damaged file is kept as {aside.name}"

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            return
        _sync_directory(self._directory.parent)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read_all(fd: int) -> bytes:
    with os.fdopen(os.dup(fd), "rb") as file:
        return file.read()


def _write_at(fd: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, position)
        view, position = view[written:], position + written
