"""What the use cases need to know and ask of the links that are open at this moment.

Who holds the links is what has this shape; nothing that is asked here waits for a link.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from domain.fleet.host import AgentReport, HostId
from domain.fleet.host_effects import LinkEnd


class HostLinks(Protocol):
    """The open links to hosts, by host."""

    def wake(self, host_id: HostId) -> None:
        """There is something new in the store for this host; nothing where it has no link."""
        ...

    def is_online(self, host_id: HostId) -> bool:
        """Whether the host's agent is connected and has proven who it is."""
        ...

    def online(self) -> Mapping[int, int]:
        """How many hosts are online, by the version of the protocol that their agents speak."""
        ...

    def report_of(self, host_id: HostId) -> AgentReport | None:
        """What the agent last said of itself, newer than what the directory has; None where it is away."""
        ...

    def dismiss(self, host_id: HostId, end: LinkEnd) -> None:
        """End the host's link, as what it has proven itself with is worth nothing any more.

        To be called once that is durable.
        """
        ...
