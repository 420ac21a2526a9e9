"""Keys in a file that only its user can read. Blocking."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

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
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
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
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
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
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        fd = os.open(new, _NEW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


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
