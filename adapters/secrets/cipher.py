"""Payloads under AES-256-GCM, with a key from a file beside the database.

What is sealed: a byte for this form, the id of the key, the nonce, and what AES-GCM makes of the
content; form, key and context are bound to it. Nonces are random, so that a key is good for 2^32
payloads.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.secrets.key_file import KEY_ID_BYTES, keys_in
from domain.errors import StorageUnavailable

FORM: Final = b"\x01"
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
FINGERPRINT_DIGITS: Final = 32

_HEAD_BYTES: Final = len(FORM) + KEY_ID_BYTES


class KeyFileCipher:
    """See `PayloadCipher`. The file is read, or made, at once; raises as `keys_in` does."""

    def __init__(self, path: Path) -> None:
        keys = keys_in(path)
        self._ciphers = {key.id: AESGCM(key.secret) for key in keys}
        self._head = FORM + keys[0].id
        self._fingerprints = hmac.digest(keys[-1].secret, b"instadeploy fingerprints", "sha256")

    def seal(self, content: bytes, context: str) -> bytes:
        """See `PayloadCipher`."""
        head, nonce = self._head, secrets.token_bytes(NONCE_BYTES)
        cipher = self._ciphers[head[len(FORM) :]]
        return head + nonce + cipher.encrypt(nonce, content, _bound(head, context))

    def open(self, sealed: bytes, context: str) -> bytes:
        """See `PayloadCipher`."""
        head, rest = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        nonce, content = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
        if head[: len(FORM)] != FORM or len(content) < TAG_BYTES:
            raise StorageUnavailable("a payload in the database is spoilt, or a newer version's")
        key_id = head[len(FORM) :]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise StorageUnavailable(
                f"a payload in the database was sealed under another key, {key_id.hex()}, "
                "which the key file does not have"
            )
        try:
            return cipher.decrypt(nonce, content, _bound(head, context))
        except InvalidTag:
            raise StorageUnavailable(
                "a payload in the database is spoilt, or stands where another belongs"
            ) from None

    def fingerprint(self, content: bytes) -> str:
        """See `PayloadCipher`. The oldest key makes it, so that another one changes nothing."""
        return hmac.digest(self._fingerprints, content, "sha256").hex()[:FINGERPRINT_DIGITS]


def _bound(head: bytes, context: str) -> bytes:
    return head + context.encode("utf-8", "surrogatepass")
