"""Who the two ends are, by keys. What is signed is in `domain.identity`."""

from __future__ import annotations

from typing import Protocol

from domain.identity import Membership


class Verifier(Protocol):
    """Checks signatures."""

    def is_signed(self, text: bytes, signature: str, public_key: str) -> bool:
        """Whether it is an Ed25519 signature (64 bytes in base64) of the key (32 bytes in base64).

        False, too, for what is no signature or no key at all.
        """
        ...


class Signer(Verifier, Protocol):
    """An Ed25519 key of our own, made the first time and kept for ever.

    It is durable before it is used for the first time.
    """

    @property
    def public_key(self) -> str:
        """32 bytes in base64."""
        ...

    def sign(self, text: bytes) -> str:
        """64 bytes in base64."""
        ...


class HostIdentity(Signer, Protocol):
    """An agent's key, and what its enrolment has pinned; durable, for the agent's user alone."""

    @property
    def membership(self) -> Membership | None:
        """None before the enrolment."""
        ...

    async def pin(self, membership: Membership) -> None:
        """Keep it; durable when it returns, and then alone is `membership` this one.

        Raises `StorageUnavailable`, and `NoSpace`; nothing has changed then. Cancelled, it has
        happened or not.
        """
        ...
