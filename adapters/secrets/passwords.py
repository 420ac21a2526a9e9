"""Passwords by Argon2id, with the second of the settings that RFC 9106 recommends: 64 MiB, 3 passes."""

from __future__ import annotations

import asyncio
from typing import Final

import argon2
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from domain.errors import Busy

AT_A_TIME: Final = 2
"""Each has 64 MiB and a core for some 50 ms."""
MOST_WAITING: Final = 32
"""Of those that are known, and as many strangers; with those that are looked at."""
STRANGERS_AT_A_TIME: Final = 1
"""However many strangers there are, whoever is known has the other core."""
_NOBODY: Final = "nobody has this password"


class Argon2Passwords:
    """See `PasswordHasher`."""

    def __init__(self, profile: argon2.Parameters = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = argon2.PasswordHasher.from_parameters(profile)
        self._places = asyncio.Semaphore(AT_A_TIME)
        self._known = _Queue(asyncio.Semaphore(AT_A_TIME))
        self._strangers = _Queue(asyncio.Semaphore(STRANGERS_AT_A_TIME))
        self._nobodys = ""

    async def hash(self, password: str) -> str:
        """See `PasswordHasher`."""
        async with self._known, self._places:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def is_right(
        self, password: str, password_hash: str | None, *, is_stranger: bool
    ) -> bool:
        """See `PasswordHasher`."""
        if password_hash is None:
            self._nobodys = self._nobodys or await self.hash(_NOBODY)
        async with self._strangers if is_stranger else self._known, self._places:
            is_right = await asyncio.to_thread(
                self._verify, password, self._nobodys if password_hash is None else password_hash
            )
        return is_right and password_hash is not None

    def _verify(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


class _Queue:
    """So many at a time, and so many that wait; whoever comes then is refused."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._inside = 0

    async def __aenter__(self) -> None:
        if self._inside >= MOST_WAITING:
            raise Busy("too many passwords are being checked at this moment")
        self._inside += 1
        try:
            await self._places.acquire()
        except BaseException:
            self._inside -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._inside -= 1
        self._places.release()
