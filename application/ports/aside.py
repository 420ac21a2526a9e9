"""Blocking work that nobody has to wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Aside(Protocol):
    """Runs what may hang: a disk of another machine, a program, a name server."""

    async def __call__(self, work: Callable[[], T]) -> T:
        """What `work` gives or raises.

        Cancelled, it returns at once, and the work goes on with nobody who hears of it; it does not
        keep the process from ending. So it must change nothing.
        """
        ...
