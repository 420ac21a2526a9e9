"""The single-file agent that is given to machines which are to become hosts: its digest, and its bytes.

It may be replaced at any time, also while somebody fetches it: what is told of it and what is sent is of
one open file each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import stat
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from domain.errors import Busy
from domain.fleet.attempts import network_of

logger = logging.getLogger(__name__)

PIECE_BYTES: Final = 256 * 1024
MOST_READERS: Final = 64
"""So many may fetch it at once: anybody may, and each holds a descriptor as long as it likes to read."""
MOST_AT_ONE_ADDRESS: Final = 4
"""Of them, behind one address or in one network of IPv6: somebody who reads slowly keeps out nobody
else. install.sh comes again a while later."""

_Identity = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class AgentDigest:
    """What an agent file is known by; `sha256` is in hexadecimal."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class OpenAgent:
    """The file, open, and what it is known by."""

    digest: AgentDigest
    descriptor: int

    async def piece(self, at: int) -> bytes:
        """What stands there; short only at the end, or where somebody has cut the file."""
        size = min(PIECE_BYTES, self.digest.size - at)
        return await asyncio.to_thread(os.pread, self.descriptor, size, at)


class AgentFile:
    """The file at `path`, if one is there. It is read once as long as it is the same one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[_Identity, AgentDigest] | None = None
        self._hashing = asyncio.Lock()
        self._readers: Counter[str] = Counter()

    async def is_there(self) -> bool:
        """Whether there is one that can be read."""
        async with self._opened() as descriptor:
            return descriptor is not None

    async def digest(self) -> AgentDigest | None:
        """What it is known by; None where there is none."""
        async with self._opened() as descriptor:
            return None if descriptor is None else await self._digest(descriptor)

    @contextlib.asynccontextmanager
    async def opened(self, address: str) -> AsyncIterator[OpenAgent | None]:
        """The file, to be sent there; None where there is none. Raises `Busy` where many fetch it."""
        network = network_of(address)
        if self._readers.total() >= MOST_READERS:
            raise Busy(f"{MOST_READERS} machines fetch the agent already")
        if self._readers[network] >= MOST_AT_ONE_ADDRESS:
            raise Busy(f"{MOST_AT_ONE_ADDRESS} machines at your address fetch the agent already")
        self._readers[network] += 1
        try:
            async with self._opened() as descriptor:
                if descriptor is None:
                    yield None
                else:
                    yield OpenAgent(await self._digest(descriptor), descriptor)
        finally:
            self._readers -= Counter([network])  # None is kept that is nobody's.

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[int | None]:
        descriptor = await asyncio.to_thread(_open, self._path)
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    async def _digest(self, descriptor: int) -> AgentDigest:
        """Raises `Busy` where the file is written to meanwhile."""
        # Whoever comes while it is read waits for that, and reads nothing.
        async with self._hashing:
            identity = _identity_of(descriptor)
            if self._known is not None and self._known[0] == identity:
                return self._known[1]
            digest = await asyncio.to_thread(_hashed, descriptor)
            if _identity_of(descriptor) != identity:
                raise Busy("the agent file is being replaced")
            self._known = (identity, digest)
            return digest


def _open(path: Path) -> int | None:
    try:
        # What is no regular file is not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as exc:
        logger.warning("the agent file %s cannot be read: %s", path, exc.strerror)
        return None
    found = os.fstat(descriptor)
    # Python runs an empty file without complaint.
    if stat.S_ISREG(found.st_mode) and found.st_size > 0:
        return descriptor
    os.close(descriptor)
    logger.warning("the agent file %s is no regular file, or empty", path)
    return None


def _identity_of(descriptor: int) -> _Identity:
    found = os.fstat(descriptor)
    # The change time too: `cp --preserve` sets the other one.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _hashed(descriptor: int) -> AgentDigest:
    digest, size = hashlib.sha256(), 0
    while piece := os.pread(descriptor, PIECE_BYTES, size):
        digest.update(piece)
        size += len(piece)
    return AgentDigest(digest.hexdigest(), size)
