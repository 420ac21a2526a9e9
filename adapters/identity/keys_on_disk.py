"""A program's own key, in a file that is made the first time."""

from __future__ import annotations

import dataclasses
import secrets
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Final

from adapters.cancellation import finish_in_thread
from adapters.identity.ed25519 import Ed25519, KeySigner
from adapters.identity.key_documents import KeyDocument, damaged, read_key, write_key
from domain.identity import KEY_BYTES, Membership, encoded

HOST_KEY_FILE: Final = "identity.json"


class LocalSigner(KeySigner):
    """See `Signer`. The key is in the file `path`, whose directory is there.

    Raises `InvalidInput` where a person has to look at the file, and `StorageUnavailable`.
    """

    def __init__(self, path: Path, ed25519: Ed25519) -> None:
        super().__init__(ed25519, _read_or_made(path, ed25519).secret)


class LocalHostIdentity(KeySigner):
    """See `HostIdentity`. It is in the file `identity.json` in the agent's state directory.

    Raises as `LocalSigner` does. Two processes must not have one at a time.
    """

    def __init__(self, state_dir: Path, ed25519: Ed25519, executor: Executor) -> None:
        self._path = state_dir / HOST_KEY_FILE
        self._key = _read_or_made(self._path, ed25519)
        self._executor = executor
        super().__init__(ed25519, self._key.secret)

    @property
    def membership(self) -> Membership | None:
        """See `HostIdentity`."""
        return self._key.membership

    async def pin(self, membership: Membership) -> None:
        """See `HostIdentity`."""
        await finish_in_thread(self._executor, partial(self._pin, membership))

    def _pin(self, membership: Membership) -> None:
        key = dataclasses.replace(self._key, membership=membership)
        write_key(self._path, key, replace=True)
        self._key = key  # Here, as whoever waited may have been cancelled.


def membership_in(state_dir: Path) -> Membership | None:
    """What the agent of a state directory has pinned; None where it is no host yet.

    Only looks. Raises `InvalidInput` where a person has to look too, and `StorageUnavailable`.
    """
    key = read_key(state_dir / HOST_KEY_FILE)
    return None if key is None else key.membership


def _read_or_made(path: Path, ed25519: Ed25519) -> KeyDocument:
    key = read_key(path)
    if key is None:
        secret = secrets.token_bytes(KEY_BYTES)
        key = KeyDocument(secret, encoded(ed25519.public_key_of(secret)))
        write_key(path, key, replace=False)
    elif encoded(ed25519.public_key_of(key.secret)) != key.public_key:
        raise damaged(path)
    return key
