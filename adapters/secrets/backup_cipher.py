"""A stream under a passphrase: a backup's secrets leave the machine only so.

What is sealed: a head of `HEAD_BYTES`, and chunks. The head: `MAGIC`, scrypt's cost (the binary logarithm
of N, one byte; r is 8 and p 1), 16 bytes of salt, and an HMAC-SHA256 of all of that. scrypt makes 64 bytes
of the passphrase and the salt: the key of the HMAC, and that of the chunks. Each chunk is AES-256-GCM over
`CHUNK_BYTES`, the last one over what is left; its nonce is its number in 11 bytes, and 1 in the last one's
twelfth, 0 in that of each other. So a chunk that is missing, doubled, or in another's place is noticed, and
the end too. A salt, and so a key, is used for one stream alone.

This is the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizar, as age has it. Blocking.
"""

from __future__ import annotations

import hmac
import io
import secrets
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from domain.errors import InvalidInput, StorageUnavailable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MAGIC: Final = b"instadeploy backup 1\n"
SALT_BYTES: Final = 16
MAC_BYTES: Final = 32
HEAD_BYTES: Final = len(MAGIC) + 1 + SALT_BYTES + MAC_BYTES
CHUNK_BYTES: Final = 64 * 1024
TAG_BYTES: Final = 16

COST: Final = 17
"""128 MiB, and some 0.4 s."""
HIGHEST_COST: Final = 20
"""A file that asks for more is none of ours: it would take more than 1 GiB to look at it."""

_KEY_BYTES: Final = 32
_COUNTER_BYTES: Final = 11
_SEALED_BYTES: Final = CHUNK_BYTES + TAG_BYTES


class Sink(Protocol):
    """What is written to; all of it is taken."""

    def write(self, content: bytes, /) -> object:
        """Take it, or raise."""
        ...


class Source(Protocol):
    """What is read from; it gives so much or less, and nothing only at its end."""

    def read(self, count: int, /) -> bytes:
        """What comes next."""
        ...


class SealingStream(io.RawIOBase):
    """Writes to `out`, sealed. Only `seal_end` makes a whole stream of it; `out` is left open."""

    def __init__(self, out: Sink, passphrase: bytes, *, cost: int = COST) -> None:
        super().__init__()
        described = MAGIC + bytes([cost]) + secrets.token_bytes(SALT_BYTES)
        mac, self._cipher = _keys(passphrase, described)
        self._out = out
        self._pending = bytearray()
        self._number = 0
        out.write(described + mac)

    def writable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def write(self, content: ReadableBuffer, /) -> int:
        """See `io.RawIOBase`; all of it is taken. Raises as `out` does."""
        view = memoryview(content).cast("B")
        self._pending += view
        # One that is full may be the last, so it waits for what comes after it.
        whole = (len(self._pending) - 1) // CHUNK_BYTES if self._pending else 0
        for place in range(whole):
            self._seal(
                self._pending[place * CHUNK_BYTES : (place + 1) * CHUNK_BYTES], is_last=False
            )
        del self._pending[: whole * CHUNK_BYTES]
        return len(view)

    def seal_end(self) -> None:
        """Write what is left as the last chunk. Nothing may be written after it."""
        self._seal(self._pending, is_last=True)
        self.close()

    def _seal(self, content: bytes | bytearray, *, is_last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._number, is_last=is_last), content, None))
        self._number += 1


class OpeningStream(io.RawIOBase):
    """Reads what a `SealingStream` has written to `sealed`, which is left open.

    What is read is genuine as far as it goes; that it is whole is known only at its end. Raises
    `InvalidInput` for a wrong passphrase, and `StorageUnavailable` for a stream that is none of ours, a
    newer version's, or damaged.
    """

    def __init__(self, sealed: Source, passphrase: bytes) -> None:
        super().__init__()
        head = _read(sealed, HEAD_BYTES)
        if not head.startswith(MAGIC) or len(head) < HEAD_BYTES or head[len(MAGIC)] > HIGHEST_COST:
            raise StorageUnavailable("this is no backup of this program, or one of a newer version")
        described, found = head[:-MAC_BYTES], head[-MAC_BYTES:]
        mac, self._cipher = _keys(passphrase, described)
        if not hmac.compare_digest(mac, found):
            raise InvalidInput(
                "passphrase", "is not the one that the backup was made with, or its head is damaged"
            )
        self._sealed = sealed
        self._number = 0
        self._next = _read(sealed, _SEALED_BYTES)
        self._is_over = False
        self._opened = memoryview(b"")

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """See `io.RawIOBase`; raises `StorageUnavailable` where the stream is damaged or cut."""
        wanted = memoryview(buffer).cast("B")
        while not self._opened and not self._is_over:
            self._open_next()
        count = min(len(wanted), len(self._opened))
        wanted[:count] = self._opened[:count]
        self._opened = self._opened[count:]
        return count

    def _open_next(self) -> None:
        current, self._next = self._next, _read(self._sealed, _SEALED_BYTES)
        is_last = not self._next
        try:
            opened = self._cipher.decrypt(_nonce(self._number, is_last=is_last), current, None)
        except (InvalidTag, ValueError):  # The latter, where it is shorter than a tag.
            raise StorageUnavailable(
                f"the backup is damaged, or its end is missing: chunk {self._number} is not as written"
            ) from None
        self._number += 1
        self._opened, self._is_over = memoryview(opened), is_last


def _keys(passphrase: bytes, described: bytes) -> tuple[bytes, AESGCM]:
    """The HMAC of the head, and what the chunks are sealed with."""
    cost, salt = described[len(MAGIC)], described[len(MAGIC) + 1 :]
    if cost < 1:
        raise StorageUnavailable("this is no backup of this program: its head is damaged")
    made = Scrypt(salt=salt, length=2 * _KEY_BYTES, n=1 << cost, r=8, p=1).derive(passphrase)
    return hmac.digest(made[:_KEY_BYTES], described, "sha256"), AESGCM(made[_KEY_BYTES:])


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes([is_last])


def _read(source: Source, count: int) -> bytes:
    """So much, and less only at the end: a pipe gives what it has."""
    found = bytearray()
    while len(found) < count and (some := source.read(count - len(found))):
        found += some
    return bytes(found)
