"""`UnitLog` through journalctl. Blocking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.machine.journal import journal_of
from domain.idle_links import LogLine

READ_S: Final = 10.0


class JournalctlLog:
    """See `UnitLog`."""

    def lines(self, unit: str, count: int) -> Sequence[LogLine]:
        """See `UnitLog`."""
        return journal_of(unit, count, READ_S)
