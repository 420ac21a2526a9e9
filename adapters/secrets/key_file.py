"""Keys in a file that only its user can read. Blocking."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.private_file import open_private, put_private, sync_directory
from adapters.storage_errors import translated
from domain.errors import StorageUnavailable

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
LONGEST_FILE: Final = 64 * 1024

_KIND: Final = "aes-256-gcm"
_HEAD: Final = (
    "# What opens the payloads in the control plane's database. Keep a copy, apart from the\n"
    "# database's: without it, they cannot be read; with both, anybody can. The first key seals;\n"
    "# those below it only open.\n"
)
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and what it is called where it was used."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """Tells keys apart, and nothing about them."""
        return hashlib.sha256(b"instadeploy payload key\0" + self.secret).digest()[:KEY_ID_BYTES]


def keys_in(path: Path) -> tuple[Key, ...]:
    """The keys of a file, the one that seals first. Where there is no file, it is made, with one key.

    Raises `StorageUnavailable` where it cannot be read or made, is none of ours, or can be read by
    others than its user. A file that is there is never changed.
    """
    with translated(path):
        try:
            text = _read(path)
        except FileNotFoundError:
            _make(path)
            text = _read(path)
    return _parsed(path, text)


def _read(path: Path) -> str:
    with open_private(path, follow_links=True) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise StorageUnavailable(f"{path} is no file")
        if status.st_mode & _OTHERS:
            raise StorageUnavailable(
                f"{path} can be used by others than its user: chmod 600 it, and consider its key known"
            )
        return file.read(LONGEST_FILE).decode("utf-8", "replace")


def _make(path: Path) -> None:
    """Whole or not at all, and private from its first byte; one that has come meanwhile is left."""
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")
    content = f"{_HEAD}{_KIND} {key}\n".encode("ascii")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        put_private(path, content, replace=False)
    except FileExistsError:
        sync_directory(path.parent)  # Whoever has made it may not have come so far yet.


def _parsed(path: Path, text: str) -> tuple[Key, ...]:
    keys: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        kind, _, encoded = line.strip().partition(" ")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if kind != _KIND or len(secret) != KEY_BYTES:
            # Never the line itself: it may be a key with a slip.
            raise StorageUnavailable(f"{path}: line {number} is no key of this program")
        keys.append(Key(secret))
    if not keys:
        raise StorageUnavailable(f"{path} has no key in it: restore it from a copy")
    return tuple(keys)
