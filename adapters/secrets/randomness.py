"""Ids and tokens from the system's source of randomness."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

TOKEN_BYTES: Final = 32

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's: nothing in it is mistaken for something else, and it is in ASCII's order."""
_LENGTH: Final = 26
_RANDOM_BITS: Final = 80
_STEP_BITS: Final = 40
"""Of how far ids within a millisecond are apart: the next one cannot be guessed from the last one."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class SystemRandomness:
    """See `Randomness`. Ids rise, also where the clock is set back while this runs.

    An id is the prefix, `_`, and 26 characters: the milliseconds since 1970 in 48 bits, and 80 bits
    that are random, or above those of the id before where that is of the same millisecond.
    """

    def __init__(self, now_ms: Callable[[], int] = _now_ms) -> None:
        self._now_ms = now_ms
        self._last = 0
        self._lock = threading.Lock()

    def new_id(self, prefix: str) -> str:
        """See `Randomness`."""
        with self._lock:
            number = (self._now_ms() << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
            if number >> _RANDOM_BITS <= self._last >> _RANDOM_BITS:
                number = self._last + 1 + secrets.randbits(_STEP_BITS)
            self._last = number
        return f"{prefix}_{_encoded(number)}"

    def token(self) -> str:
        """See `Randomness`."""
        return secrets.token_urlsafe(TOKEN_BYTES)


def _encoded(number: int) -> str:
    characters = []
    for _ in range(_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[place])
    return "".join(reversed(characters))
