"""Who may use the API. For now there is one administrator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token of the API; the token itself is known by its SHA-256 in hex alone."""

    id: str
    name: str
    created_at: float


class AccessTokens(Protocol):
    """Tokens, durable; errors as of `JobStore`."""

    async def has_any(self) -> bool:
        """Whether there was ever one: they are replaced, and never only removed."""
        ...

    async def add_first(self, token: AccessToken, token_hash: str) -> bool:
        """Keep the first token; False, with nothing done, where there was ever one before."""
        ...

    async def with_hash(self, token_hash: str) -> AccessToken | None:
        """The token, None where it is none; hashes are compared in constant time."""
        ...

    async def replace_all(self, token: AccessToken, token_hash: str) -> None:
        """Make this the only token: for whoever has lost the first one and has the machine."""
        ...
