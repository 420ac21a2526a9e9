"""What a unit has logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from domain.idle_links import LogLine


class UnitLog(Protocol):
    """systemd's journal. Blocking."""

    def lines(self, unit: str, count: int) -> Sequence[LogLine]:
        """The last so many, the oldest first; none also where this user may not read them.

        Raises `RuntimeUnavailable` where the journal cannot be asked.
        """
        ...
