"""What the agents that are connected have last said of themselves, kept in memory and in the directory.

Thousands of heartbeats a minute would be thousands of rows to write: what is in the directory is a
little older, and written for many hosts at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.host_directory import HostDirectory
from domain.errors import StorageUnavailable
from domain.fleet.host import AgentReport, HostId

logger = logging.getLogger(__name__)

KEPT_EVERY_S: Final = 60.0
"""So old may be what the directory has of a host that is connected."""
WRITTEN_EVERY_S: Final = 5.0
MOST_AT_ONCE: Final = 1_000


LONGEST_TEXT: Final = 256
MOST_FACTS: Final = 32
LONGEST_FACT: Final = 64


class Reports:
    """`noted` is cheap; `write` is to be called every few seconds, by one task."""

    def __init__(self, directory: HostDirectory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._due: dict[HostId, AgentReport] = {}
        self._kept_at: dict[HostId, float] = {}

    def arrived(self, host_id: HostId, report: AgentReport) -> None:
        """An agent has connected: that is soon kept."""
        self._due[host_id] = report
        self._kept_at[host_id] = self._clock.monotonic()

    def heard(
        self, host_id: HostId, report: AgentReport, facts: Mapping[str, object]
    ) -> AgentReport:
        """An agent that is connected has said how its host is; gives what is known of it now."""
        at = seconds_now(self._clock)
        report = replace(report, last_seen_at=at, facts=_tidy_facts(facts))
        now = self._clock.monotonic()
        if host_id in self._due or now - self._kept_at.get(host_id, 0.0) >= KEPT_EVERY_S:
            self._due[host_id] = report
            self._kept_at[host_id] = now
        return report

    def left(self, host_id: HostId, report: AgentReport) -> None:
        """An agent is gone that was there until now."""
        self._due[host_id] = replace(report, last_seen_at=seconds_now(self._clock))
        self._kept_at.pop(host_id, None)

    async def write(self) -> None:
        """Keep what is due; what cannot be kept now is due still, unless it is known better by then."""
        while self._due:
            some = dict(list(self._due.items())[:MOST_AT_ONCE])
            for host_id in some:
                del self._due[host_id]
            try:
                await self._directory.note_reports(some)
            except StorageUnavailable as exc:
                logger.warning("what agents said of themselves is not written down: %s", exc)
                self._due = some | self._due
                return


def tidy(text: str) -> str:
    """What an agent says of itself, as it can stand in a line and in a log."""
    return "".join(each if each.isprintable() else "?" for each in text[:LONGEST_TEXT])


def _tidy_facts(facts: Mapping[str, object]) -> Mapping[str, object]:
    """Those that are numbers, words or yes and no; and not more than anybody would look at.

    They stay in memory for as long as the agent is there.
    """
    kept: dict[str, object] = {}
    for name, value in facts.items():
        if len(kept) == MOST_FACTS:
            break
        if len(name) <= LONGEST_FACT and isinstance(value, bool | int | float | str | None):
            kept[tidy(name)] = tidy(value) if isinstance(value, str) else value
    return kept
