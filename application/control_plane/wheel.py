"""Who has to be looked after when: one round a second for thousands, in the place of a timer each."""

from __future__ import annotations

import math
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """What stands on a wheel; `slot` is the wheel's own, 0 at first."""

    slot: int


T = TypeVar("T", bound=Timed)


class Wheel(Generic[T]):
    """Slots are whole seconds of a clock that does not go back; nothing comes up before its moment."""

    def __init__(self) -> None:
        self._slots: dict[int, set[T]] = {}

    def put(self, one: T, due: float) -> None:
        """Have it come up once `due` has come, or before where it was put for an earlier moment.

        Dues that move later, as most do, cost nothing: who comes up looks again.
        """
        slot = max(1, math.ceil(due))
        if one.slot and one.slot <= slot:
            return
        self.drop(one)
        one.slot = slot
        self._slots.setdefault(slot, set()).add(one)

    def drop(self, one: T) -> None:
        """Have it not come up; harmless again."""
        slot, one.slot = one.slot, 0
        if (standing := self._slots.get(slot)) is not None:
            standing.discard(one)

    def take(self, now: float) -> list[T]:
        """All that come up by now; they stand on the wheel no more."""
        due: list[T] = []
        for slot in sorted(slot for slot in self._slots if slot <= now):
            due.extend(self._slots.pop(slot))
        for one in due:
            one.slot = 0
        return due
