"""Files that a newer agent wrote are refused, and left as they are. No I/O."""

from __future__ import annotations

import struct
import zlib
from pathlib import PurePath
from typing import Final

from domain.errors import StorageUnavailable

_MARK: Final = struct.Struct("<8sII")
_CHECKED: Final = struct.Struct("<8sI")

MARK_BYTES: Final = _MARK.size


class NewerWriter(Exception):
    """What is in a file is intact, and nothing that this code knows."""


class NewerVersion(NewerWriter):
    """The mark is whole, and of a version that this code does not know."""

    def __init__(self, version: int, known: int) -> None:
        super().__init__(f"version {version}, where this agent knows up to {known}")


def mark(magic: bytes, version: int) -> bytes:
    """The first bytes of a file: its kind, its version, and a CRC-32 of both."""
    return _MARK.pack(magic, version, _crc(magic, version))


def has_mark(data: bytes, magic: bytes, known: int) -> bool:
    """Whether `data` begins with a mark that is intact; raises `NewerVersion`."""
    if len(data) < MARK_BYTES:
        return False
    found, version, crc = _MARK.unpack_from(data)
    if found != magic or crc != _crc(magic, version):
        return False
    if version > known:
        raise NewerVersion(version, known)
    return True


def refusal(path: PurePath, exc: NewerWriter) -> StorageUnavailable:
    """What is said of a file that cannot be used without losing what is in it."""
    return StorageUnavailable(
        f"{path} was written by a newer agent ({exc}); install that one again, or move the file "
        "away, and with it what the agent knows of its jobs"
    )


def _crc(magic: bytes, version: int) -> int:
    return zlib.crc32(_CHECKED.pack(magic, version))
