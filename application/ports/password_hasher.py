"""How passwords are kept: so that whoever has the hash is far from having the password."""

from __future__ import annotations

from typing import Protocol


class PasswordHasher(Protocol):
    """Slow and large on purpose: raises `Busy` where too many wait already."""

    async def hash(self, password: str) -> str:
        """A hash with a salt of its own, and all that it takes to check a password against it."""
        ...

    async def is_right(
        self, password: str, password_hash: str | None, *, is_stranger: bool
    ) -> bool:
        """Whether it is that password; takes as long where there is none, and is False then.

        However many strangers ask at once, nobody else waits for them.
        """
        ...
