"""Links to hosts that are only remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from domain.fleet.host import AgentReport, HostId
from domain.fleet.host_effects import LinkEnd


class FakeHostLinks:
    """See `HostLinks`: `connected` says who is online, by which protocol; the rest is what was asked."""

    def __init__(self) -> None:
        self.connected: dict[HostId, int] = {}
        self.reports: dict[HostId, AgentReport] = {}
        self.woken: list[HostId] = []
        self.dismissed: list[tuple[HostId, LinkEnd]] = []

    def wake(self, host_id: HostId) -> None:
        """See `HostLinks`."""
        self.woken.append(host_id)

    def is_online(self, host_id: HostId) -> bool:
        """See `HostLinks`."""
        return host_id in self.connected

    def online(self) -> Mapping[int, int]:
        """See `HostLinks`."""
        return Counter(self.connected.values())

    def report_of(self, host_id: HostId) -> AgentReport | None:
        """See `HostLinks`."""
        return self.reports.get(host_id)

    def dismiss(self, host_id: HostId, end: LinkEnd) -> None:
        """See `HostLinks`."""
        self.connected.pop(host_id, None)
        self.dismissed.append((host_id, end))
