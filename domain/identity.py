"""Who the two ends of a link are: what each signs to prove it, and what keys look like.

Keys are Ed25519's (RFC 8032). Keys and signatures are text: base64 of 32 and of 64 bytes, with
padding. docs/protocol-v2.md has the signed texts byte for byte, so that others can make them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from domain.errors import InvalidInput

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
FINGERPRINT_PREFIX: Final = "sha256:"

_FINGERPRINT: Final = re.compile(r"sha256:[0-9a-f]{64}")
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Membership:
    """What an agent knows once it is a host: who it is, and whom it has to do with."""

    host_id: str
    control_plane_key: str


def enroll_text(
    challenge_nonce: str, nonce: str, token_hash: str, public_key: str, control_plane_key: str
) -> bytes:
    """What a host signs in ENROLL: that it has the key, and means this token and this control plane."""
    return _text(
        "instadeploy.v2 enroll", challenge_nonce, nonce, token_hash, public_key, control_plane_key
    )


def enrolled_text(challenge_nonce: str, nonce: str, host_id: str, public_key: str) -> bytes:
    """What the control plane signs in ENROLLED: that this key is this host's from now on."""
    return _text("instadeploy.v2 enrolled", challenge_nonce, nonce, host_id, public_key)


def hello_text(
    challenge_nonce: str, nonce: str, host_id: str, epoch: str, control_plane_key: str
) -> bytes:
    """What a host signs in HELLO. `epoch` is the agent's; the key is the one that it has pinned."""
    return _text("instadeploy.v2 hello", challenge_nonce, nonce, host_id, epoch, control_plane_key)


def welcome_text(challenge_nonce: str, nonce: str, host_id: str, session: str, epoch: str) -> bytes:
    """What the control plane signs in WELCOME. `epoch` is the control plane's."""
    return _text("instadeploy.v2 welcome", challenge_nonce, nonce, host_id, session, epoch)


def token_hash_of(token: str) -> str:
    """What is kept and signed in the place of a token: its SHA-256 in lower-case hexadecimal.

    A token is random and long, so that its hash tells nothing of it.
    """
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def key_of(public_key: str) -> bytes | None:
    """The bytes of a key; None for what is no key."""
    return _decoded(public_key, KEY_BYTES)


def signature_of(signature: str) -> bytes | None:
    """The bytes of a signature; None for what is none."""
    return _decoded(signature, SIGNATURE_BYTES)


def encoded(key_or_signature: bytes) -> str:
    """The text of a key or a signature."""
    return base64.b64encode(key_or_signature).decode("ascii")


def check_public_key(field: str, value: str) -> None:
    """Raise `InvalidInput` that names `field` where it is no key."""
    if key_of(value) is None:
        raise InvalidInput(field, f"must be {KEY_BYTES} bytes in base64, with padding")


def fingerprint_of(public_key: str) -> str:
    """What people compare: `sha256:` and the SHA-256 of the key's bytes in lower-case hexadecimal.

    Raises `InvalidInput` for what is no key.
    """
    check_public_key("public_key", public_key)
    return FINGERPRINT_PREFIX + hashlib.sha256(base64.b64decode(public_key)).hexdigest()


def check_pin(field: str, value: str) -> None:
    """Raise `InvalidInput` that names `field` where it is neither a key nor a fingerprint."""
    if key_of(value) is None and not _FINGERPRINT.fullmatch(value):
        raise InvalidInput(
            field,
            f"must be a key, which is {KEY_BYTES} bytes in base64, or its fingerprint, sha256:...",
        )


def is_pinned(pin: str, public_key: str) -> bool:
    """Whether `public_key` is a key, and the one that `pin` is or is the fingerprint of."""
    if key_of(public_key) is None:
        return False
    met = fingerprint_of(public_key) if pin.startswith(FINGERPRINT_PREFIX) else public_key
    return pin == met


def _text(*fields: str) -> bytes:
    """Each field behind its length, so that no two lists of fields make the same text."""
    parts = [field.encode("utf-8") for field in fields]
    return b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in parts)


def _decoded(value: str, length: int) -> bytes | None:
    try:
        decoded = base64.b64decode(value, validate=True)
    except ValueError:
        return None
    # One text for each key: base64 has bits to spare in its last character.
    return decoded if len(decoded) == length and encoded(decoded) == value else None
