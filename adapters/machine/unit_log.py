"""`UnitLog` through journalctl. Blocking."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from adapters.machine.programs import output_of
from domain.idle_links import LogLine

READ_S: Final = 10.0
_MICROSECONDS: Final = 1_000_000
_INFO: Final = 6


class JournalctlLog:
    """See `UnitLog`."""

    def lines(self, unit: str, count: int) -> Sequence[LogLine]:
        """See `UnitLog`."""
        text = output_of(
            *("journalctl", "--quiet", "--no-pager", "--output=json"),
            *(f"--lines={count}", f"--unit={unit}"),
            timeout_s=READ_S,
        )
        return list(lines_in(text))


def lines_in(text: str) -> Iterator[LogLine]:
    """What journalctl prints as JSON, an entry a line; an entry that is no text is left out."""
    for line in text.splitlines():
        entry = json.loads(line)
        message = entry.get("MESSAGE")
        if isinstance(message, str):
            at = int(entry.get("__REALTIME_TIMESTAMP", 0)) / _MICROSECONDS
            yield LogLine(at, message, int(entry.get("PRIORITY", _INFO)))
