"""An append-only file of records under the agent's state directory. Blocking.

What `append` returned from is on the disk. What a crash tore or a disk spoilt is found when the file
is opened, set aside, and never read as something else.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.journal import framing
from adapters.journal.files import LOCAL_FILES, LocalFiles
from adapters.journal.replacing import discard_unfinished, replace, set_aside
from adapters.journal.versions import NewerWriter, refusal
from adapters.storage_errors import translated
from domain.errors import NoSpace, StorageUnavailable

JOURNAL_FILE: Final = "journal"
CHUNK_BYTES: Final = 1024 * 1024
"""What the file grows by."""
RESERVE_BYTES: Final = 1024 * 1024
"""Space that is allocated ahead for what has to be recorded on a full disk too."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was in the file when it was opened."""

    payloads: Sequence[bytes]
    damage: str
    """What was found to be lost, in a sentence for people; empty where nothing was."""


Check = Callable[[Sequence[bytes]], None]
"""Looks at the intact payloads before anything is changed; raises `NewerWriter` to refuse the file."""
Note = Callable[[str], bytes]
"""The payload that is written behind the intact ones of a damaged file: it says what was lost."""


def _accept(_payloads: Sequence[bytes]) -> None:
    pass


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
        room_bytes: int = 0,
        files: LocalFiles = LOCAL_FILES,
    ) -> None:
        self._files = files
        self._directory = directory
        self.path = directory / JOURNAL_FILE
        self._reserve_bytes = reserve_bytes
        self._chunk_bytes = chunk_bytes
        self._room_bytes = room_bytes
        self._fd = -1
        self._end = 0
        self._allocated = 0
        self._next_number = 1

    @property
    def used_bytes(self) -> int:
        """How much of the file is records; whoever knows which are obsolete calls `rewrite`."""
        return self._end

    def open(
        self, *, check: Check = _accept, note: Note | None = None, first: Sequence[bytes] = ()
    ) -> Recovered:
        """Read what is there, or begin a new file with `first` in it.

        Raises `StorageUnavailable` where the directory cannot be used, or a newer agent wrote the
        file, which is then left untouched.
        """
        with translated(self.path):
            self._make_directory()
            discard_unfinished(self._files, self.path)
            try:
                fd = self._files.open(self.path, os.O_RDWR)
            except FileNotFoundError:
                check(first)
                self._replace(first)
                return Recovered(first, "")
            try:
                data = self._files.read_all(fd)
                found = framing.scan(data)
                check(found.payloads)
                # An agent that was killed may have left what only the page cache has: it is acted
                # upon from now on, so no power failure may take it away.
                self._files.sync_data(fd)
                self._files.sync_directory(self._directory)
            except NewerWriter as exc:
                self._files.close(fd)
                raise refusal(self.path, exc) from exc
            except BaseException:
                self._files.close(fd)
                raise
            self._adopt(fd, end=found.end, allocated=len(data))
            self._next_number = len(found.payloads) + found.missing + 1
            return Recovered(found.payloads, "" if found.is_whole else self._put_right(found, note))

    def append(self, payloads: Sequence[bytes], *, from_reserve: bool = False) -> None:
        """Write records and wait until the disk has them: all of them, or an error.

        With `from_reserve` the space that is kept back may be used; without, `room_bytes` have to be
        free beside it. Raises `NoSpace` before anything is written, `StorageUnavailable` where the
        disk fails: also where it says only while it writes that it is full, since some of it may be
        there then.
        """
        self.require_open()
        data = b"".join(
            framing.frame(number, payload)
            for number, payload in enumerate(payloads, self._next_number)
        )
        with translated(self.path):
            self._allocate(self._end + len(data) + (0 if from_reserve else self._reserve_bytes))
            if not from_reserve and self._files.free_bytes(self._fd) < self._room_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            try:
                self._files.write(self._fd, data, self._end)
                self._files.sync_data(self._fd)
            except BaseException as exc:
                self.close()
                if not isinstance(exc, OSError):
                    raise
                raise StorageUnavailable(f"{self.path} cannot be used: {exc.strerror}") from exc
        self._end += len(data)
        self._next_number += len(payloads)

    def rewrite(self, payloads: Iterable[bytes]) -> None:
        """Replace all records, atomically.

        Raises `NoSpace` with the old file still in use, `StorageUnavailable` where the disk fails.
        """
        self.require_open()
        try:
            with translated(self.path):
                self._replace(payloads)
        except NoSpace:
            raise
        except StorageUnavailable:
            self.close()
            raise

    def require_open(self) -> None:
        """Raise `StorageUnavailable` where it is not open, or failed before."""
        if self._fd < 0:
            raise StorageUnavailable(f"{self.path} is not open, or failed before")

    def close(self) -> None:
        """Let go of the file; a second call is harmless."""
        if self._fd >= 0:
            self._files.close(self._fd)
            self._fd = -1

    def _allocate(self, upto: int) -> None:
        # One byte more: every file ends with unused space.
        short = upto + 1 - self._allocated
        if short > 0:
            grown = -(-short // self._chunk_bytes) * self._chunk_bytes
            self._files.allocate(self._fd, self._allocated, grown)
            self._allocated += grown

    def _adopt(self, fd: int, *, end: int, allocated: int) -> None:
        self.close()
        self._fd, self._end, self._allocated = fd, end, allocated

    def _replace(self, payloads: Iterable[bytes]) -> None:
        end, count, allocated = framing.HEADER_BYTES, 0, 0

        def write(fd: int) -> None:
            nonlocal end, count, allocated
            self._files.write(fd, framing.header(), 0)
            for count, payload in enumerate(payloads, 1):
                data = framing.frame(count, payload)
                self._files.write(fd, data, end)
                end += len(data)
            allocated = -(-(end + self._reserve_bytes + 1) // self._chunk_bytes) * self._chunk_bytes
            self._files.allocate(fd, 0, allocated)

        fd = replace(self._files, self.path, write)
        self._adopt(fd, end=end, allocated=allocated)
        self._next_number = count + 1

    def _put_right(self, found: framing.Scan, note: Note | None) -> str:
        """Keep the damaged file under another name, and go on with what is intact in a new one."""
        lost = (
            f"{self.path}: {found.damaged_bytes} bytes are damaged and at least {found.missing} "
            f"records are lost{', and the file was cut' if found.is_cut else ''}"
        )
        # Where it stays in its place there is room for more behind the damage, also on a full disk.
        kept = [*found.payloads, note(lost)] if note else found.payloads
        try:
            fate = set_aside(self._files, self.path, lambda: self._replace(kept))
        except BaseException:
            self.close()
            raise
        return f"{lost}; {fate}"

    def _make_directory(self) -> None:
        with contextlib.suppress(FileExistsError):
            self._files.make_directory(self._directory)
        # Also where it is there: whoever made it may have been killed before this.
        self._files.sync_directory(self._directory.parent)
