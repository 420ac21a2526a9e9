"""What systemd's journal has of a unit, through journalctl. Blocking."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from adapters.machine.programs import USUAL_S, output_of
from domain.idle_links import LogLine

_MICROSECONDS: Final = 1_000_000
_INFO: Final = 6


def journal_of(unit: str, count: int, timeout_s: float = USUAL_S) -> Sequence[LogLine]:
    """The last so many lines, the oldest first. Raises `RuntimeUnavailable`."""
    text = output_of(
        *("journalctl", "--quiet", "--no-pager", "--output=json"),
        *(f"--lines={count}", f"--unit={unit}"),
        timeout_s=timeout_s,
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
