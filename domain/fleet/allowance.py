"""How much somebody may do: so much at once, and so much a second."""

from __future__ import annotations


class Allowance:
    """Full at first. `now` is any clock that does not go back."""

    __slots__ = ("_at", "_left", "_most", "_per_s")

    def __init__(self, most: float, per_s: float, now: float) -> None:
        self._most = most
        self._per_s = per_s
        self._left = most
        self._at = now

    def take(self, amount: float, now: float) -> bool:
        """Use some up; False where there is not so much, and then nothing is."""
        self._refill(now)
        if self._left < amount:
            return False
        self._left -= amount
        return True

    def full_in(self, now: float) -> float:
        """Seconds until nothing is remembered of it."""
        self._refill(now)
        return (self._most - self._left) / self._per_s

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until that much can be used; 0 where it can be now."""
        self._refill(now)
        return max(0.0, (amount - self._left) / self._per_s)

    def _refill(self, now: float) -> None:
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
