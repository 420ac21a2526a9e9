"""Keys whose signatures anybody could forge, and which are as unlike each other as real ones."""

from __future__ import annotations

import hashlib
from collections import deque

from domain.errors import StorageUnavailable
from domain.identity import Membership, encoded


class FakeKeys:
    """A `Signer`. Two of one name are one key."""

    def __init__(self, name: str) -> None:
        self._key = encoded(hashlib.sha256(name.encode()).digest())

    @property
    def public_key(self) -> str:
        """See `Signer`."""
        return self._key

    def sign(self, text: bytes) -> str:
        """See `Signer`."""
        return _signature(text, self._key)

    def is_signed(self, text: bytes, signature: str, public_key: str) -> bool:
        """See `Verifier`."""
        return signature == _signature(text, public_key)


class FakeHostIdentity(FakeKeys):
    """A `HostIdentity`; `failures` are raised by the next calls of `pin`."""

    def __init__(self, name: str = "host", membership: Membership | None = None) -> None:
        super().__init__(name)
        self.failures: deque[StorageUnavailable] = deque()
        self.pinned: list[Membership] = []
        self._membership = membership

    @property
    def membership(self) -> Membership | None:
        """See `HostIdentity`."""
        return self._membership

    async def pin(self, membership: Membership) -> None:
        """See `HostIdentity`."""
        if self.failures:
            raise self.failures.popleft()
        self.pinned.append(membership)
        self._membership = membership


def _signature(text: bytes, public_key: str) -> str:
    return encoded(hashlib.sha512(public_key.encode() + text).digest())
