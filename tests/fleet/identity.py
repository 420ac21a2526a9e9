"""An agent's key, and what is signed with it (docs/protocol-v2.md, Identity). An independent reading."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ENROLL: Final = "instadeploy.v2 enroll"
ENROLLED: Final = "instadeploy.v2 enrolled"
HELLO: Final = "instadeploy.v2 hello"
WELCOME: Final = "instadeploy.v2 welcome"


def signed_text(purpose: str, *fields: str) -> bytes:
    """Each field behind its length in bytes, which is four bytes, the highest first."""
    parts = (field.encode() for field in (purpose, *fields))
    return b"".join(struct.pack("!I", len(part)) + part for part in parts)


def token_hash(token: str) -> str:
    """SHA-256, in lower-case hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_signed(text: bytes, signature: str, public_key: str) -> bool:
    """Whether a key has signed a text; False, too, for what is no key or signature."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), text)
    except (InvalidSignature, ValueError):
        return False
    return True


class HostKey:
    """An Ed25519 key, by its 32 secret bytes."""

    __slots__ = ("_key", "public_key", "secret")

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.public_key = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    @classmethod
    def new(cls) -> HostKey:
        """One that nobody has."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    def sign(self, purpose: str, *fields: str) -> str:
        """A signature, in base64."""
        return base64.b64encode(self._key.sign(signed_text(purpose, *fields))).decode()
