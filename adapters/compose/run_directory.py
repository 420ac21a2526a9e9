"""What there is of one run on the disk: all that the agent and the job runner know of each other.

Blocking. `entrypoints/job_runner` is the other side, and has the same names:

    unclaimed                      until somebody claims or revokes the run by renaming it
    claim.<pid>.<start>.<boot>     the job runner that carries the run out, or did
    revoked                        nobody ever will
    end                            why the run is to end; zeros until it is
    output                         what was printed first
    tail                           what was printed last, if it was more than that
    exit.new, exit                 how it ended; under the second name it is complete and durable

What tells how a run ended is allocated at its beginning, so that a full disk does not prevent it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adapters.private_file import sync_directory
from adapters.storage_errors import translated
from domain.errors import Conflict
from domain.records import ProcessIdentity, StepExit

EXIT_BYTES: Final = 512
TAIL_RESERVE_BYTES: Final = 64 * 1024
"""So much of what was printed last is kept on a full disk: it says what went wrong."""

_END_BYTES: Final = 64
_DIGEST_BYTES: Final = 65
_CLAIM = re.compile(r"claim\.(\d+)\.(\d+)\.([0-9a-f-]+)")
_DISCARDED: Final = ".discarded"


class RunDirectory:
    """One run's. Every method may raise `StorageUnavailable`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make it durably, with room for how the run ends. Raises `Conflict` where it is there."""
        sizes = {
            "output": 0,
            "tail": TAIL_RESERVE_BYTES,
            "end": _END_BYTES,
            "exit.new": EXIT_BYTES,
            "unclaimed": 0,  # The last: whoever finds it finds all of them.
        }
        parent = self.path.parent
        with translated(parent):
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self.path.mkdir(mode=0o700)
            except FileExistsError:
                raise Conflict(
                    f"a step was started under the token {self.path.name} before"
                ) from None
            try:
                for name, size in sizes.items():
                    _allocate(self.path / name, size)
                sync_directory(parent)
            except BaseException:
                shutil.rmtree(self.path, ignore_errors=True)
                raise

    def claim(self) -> ProcessIdentity | None:
        """Who carries the run out, or did."""
        with translated(self.path):
            try:
                names = [entry.name for entry in self.path.iterdir()]
            except FileNotFoundError:
                return None
        for found in filter(None, map(_CLAIM.fullmatch, names)):
            return ProcessIdentity(int(found[1]), int(found[2]), found[3])
        return None

    def claim_or_revoke(self) -> ProcessIdentity | None:
        """Who carries the run out, or did; where nobody does, nobody ever will."""
        found = self.claim()
        if found is None:
            with translated(self.path), contextlib.suppress(FileNotFoundError):
                (self.path / "unclaimed").rename(self.path / "revoked")
            found = self.claim()
        return found

    def exit(self) -> StepExit | None:
        """How the run ended; None where that was not recorded, or only half."""
        with translated(self.path):
            try:
                raw = (self.path / "exit").read_bytes()
            except FileNotFoundError:
                return None
        text, digest = raw[:-_DIGEST_BYTES].rstrip(b" "), raw[-_DIGEST_BYTES:]
        if len(raw) != EXIT_BYTES or digest != hashlib.sha256(text).hexdigest().encode() + b"\n":
            return None
        return StepExit(**json.loads(text))

    def say_why_it_ends(self, why: str) -> None:
        """Leave a word for the job runner, before it is signalled; the first one stands."""
        assert why.isidentifier(), why
        assert len(why) <= _END_BYTES, why
        with translated(self.path), _opened(self.path / "end", os.O_RDWR) as fd:
            if os.pread(fd, 1, 0) in (b"", b"\0"):
                os.pwrite(fd, why.encode("ascii"), 0)

    def read(self, offset: int, limit: int, ended: StepExit | None) -> tuple[int, bytes]:
        """What was printed from `offset` on, and where it really begins: see `RunningStep.output`."""
        head_bytes = None if ended is None else ended.head_bytes
        if head_bytes is None or offset < head_bytes:
            length = limit if head_bytes is None else min(limit, head_bytes - offset)
            kept = self._part("output", offset, length)
            if kept or ended is None:
                return offset, kept
        assert ended is not None
        begin = ended.output_bytes - ended.tail_bytes
        offset = max(offset, begin)
        length = max(0, min(limit, ended.output_bytes - offset))
        return offset, self._part("tail", offset - begin, length)

    def discard(self) -> None:
        """Remove it. It is gone at once, whole, whatever happens meanwhile."""
        away = self.path.with_name(self.path.name + _DISCARDED)
        with translated(self.path):
            with contextlib.suppress(FileNotFoundError):
                self.path.rename(away)
            if away.exists():
                shutil.rmtree(away)

    def _part(self, name: str, offset: int, length: int) -> bytes:
        with translated(self.path), _opened(self.path / name, os.O_RDONLY) as fd:
            return os.pread(fd, length, offset)


def tokens_in(runs: Path) -> frozenset[str]:
    """The names of all runs that there are; removes what is left of those half discarded."""
    with translated(runs):
        try:
            names = [entry.name for entry in runs.iterdir()]
        except FileNotFoundError:
            return frozenset()
        for name in names:
            if name.endswith(_DISCARDED):
                shutil.rmtree(runs / name, ignore_errors=True)
    return frozenset(name for name in names if not name.endswith(_DISCARDED))


def _allocate(path: Path, size: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if size:
            os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)
