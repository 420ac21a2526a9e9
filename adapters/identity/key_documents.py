"""What stands in the file of a key: JSON, its two halves in base64, and for a host what it has pinned."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.identity.private_file import read_private, write_private
from domain.errors import InvalidInput
from domain.identity import Membership, encoded, key_of

VERSION: Final = 1
MAX_BYTES: Final = 16 * 1024
LONGEST_HOST_ID: Final = 256


@dataclass(frozen=True, slots=True)
class KeyDocument:
    """The secret is 32 bytes; that the public key is its own is for who can compute it to check."""

    secret: bytes = field(repr=False)
    public_key: str
    membership: Membership | None = None


def read_key(path: Path) -> KeyDocument | None:
    """None where there is no file.

    Raises `InvalidInput` where a person has to look at it, `StorageUnavailable` where it cannot be
    read.
    """
    content = read_private(path, limit=MAX_BYTES)
    if content is None:
        return None
    try:
        document = json.loads(content)
        version = document["version"]
        if version != VERSION:
            raise InvalidInput(str(path), f"has the version {version!r}, and not {VERSION}")
        secret = key_of(document["secret_key"])
        if secret is None or key_of(document["public_key"]) is None:
            raise damaged(path)
        return KeyDocument(secret, document["public_key"], _membership(path, document))
    # Without the cause, which may quote the secret.
    except (ValueError, LookupError, TypeError, RecursionError):
        raise damaged(path) from None


def write_key(path: Path, key: KeyDocument, *, replace: bool) -> None:
    """Make it durable; see `write_private`."""
    document = {
        "version": VERSION,
        "secret_key": encoded(key.secret),
        "public_key": key.public_key,
    }
    if key.membership is not None:
        document["host_id"] = key.membership.host_id
        document["control_plane_key"] = key.membership.control_plane_key
    write_private(path, json.dumps(document, indent=2).encode("ascii") + b"\n", replace=replace)


def damaged(path: Path) -> InvalidInput:
    """What to raise for a file that makes no sense."""
    return InvalidInput(
        str(path), "is damaged; put it back from a backup, or remove it, and enrol anew"
    )


def _membership(path: Path, document: dict[str, object]) -> Membership | None:
    host_id, key = document.get("host_id"), document.get("control_plane_key")
    if host_id is None and key is None:
        return None
    if not isinstance(host_id, str) or not isinstance(key, str):
        raise damaged(path)
    if not 1 <= len(host_id) <= LONGEST_HOST_ID or key_of(key) is None:
        raise damaged(path)
    return Membership(host_id, key)
