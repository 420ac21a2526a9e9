"""Links that were ended for being idle, as the agent's own log tells.

Whatever cuts idle connections does so after a time of its own, always the same: so links that are lost
again and again after nearly the same time were not lost by chance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

AS_OFTEN: Final = 3
SHORTEST_S: Final = 5.0
"""A link that ends before was refused, or went with whoever was at its other end."""
LATEST: Final = 20
"""Of the links that ended, so many count: what was wrong last month is not."""
_NEARLY_S: Final = 2.0
_NEARLY: Final = 0.05

_WARNING: Final = 4
"""syslog(3)'s number, with which the agent says that a link was lost."""
_LEVELS: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\dT\S+Z ([A-Z]+) [\w.]+: (.*)")
"""AGENT_LOG_FORMAT=text; systemd gives all such lines one priority."""
_BEGUN: Final = "connected, over protocol v"
_LOST: Final = "; connecting again in "


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a unit's log. `at` is seconds since 1970, `priority` syslog's number."""

    at: float
    text: str
    priority: int = 6


@dataclass(frozen=True, slots=True)
class RegularEnds:
    """So many links of the last few ended after about `after_s`."""

    after_s: float
    times: int


def tells_of_links(lines: Iterable[LogLine]) -> bool:
    """Whether a link began in these lines; where none did, nothing is known of how links end."""
    return any(_as_said(line).text.startswith(_BEGUN) for line in lines)


def lives_of_links(lines: Iterable[LogLine]) -> list[float]:
    """How long each link lasted that was lost, the oldest first."""
    lives: list[float] = []
    begun: float | None = None
    for line in map(_as_said, lines):
        if line.text.startswith(_BEGUN):
            begun = line.at
        elif _LOST in line.text:
            # One that the control plane asked the agent to leave is told with less weight.
            if begun is not None and line.priority <= _WARNING:
                lives.append(line.at - begun)
            begun = None
    return lives


def regular_ends(lives: Sequence[float]) -> RegularEnds | None:
    """The time after which links are lost, where there is one; None where they end as it comes."""
    ordered = sorted(life for life in lives[-LATEST:] if life >= SHORTEST_S)
    best: list[float] = []
    for first, shortest in enumerate(ordered):
        alike = [life for life in ordered[first:] if life - shortest <= _spread(shortest)]
        if len(alike) > len(best):
            best = alike
    if len(best) < AS_OFTEN or 2 * len(best) < len(ordered):
        return None
    return RegularEnds(after_s=best[len(best) // 2], times=len(best))


def _as_said(line: LogLine) -> LogLine:
    """The line as the agent has said it, whatever AGENT_LOG_FORMAT made of it."""
    if found := _TEXT.fullmatch(line.text):
        return LogLine(line.at, found[2], _LEVELS.get(found[1].lower(), line.priority))
    if line.text.startswith("{"):
        try:
            said = json.loads(line.text)
        except (ValueError, RecursionError):
            return line
        return LogLine(
            line.at, str(said.get("message")), _LEVELS.get(str(said.get("level")), line.priority)
        )
    return line


def _spread(life: float) -> float:
    return max(_NEARLY_S, life * _NEARLY)
