"""A machine of no particular kind."""

from __future__ import annotations

from application.ports.host import HostFacts


class FakeHost:
    """The same facts always. `uptime` may be None, as on a machine that does not tell."""

    def __init__(self) -> None:
        self.uptime: float | None = 86_400.5

    def facts(self) -> HostFacts:
        """See `Host`."""
        return HostFacts(agent_version="1.0.0", architecture="linux-amd64", hostname="web-1")

    def uptime_s(self) -> float | None:
        """See `Host`."""
        return self.uptime

    def load(self) -> float | None:
        """See `Host`."""
        return 0.25

    def disk_free_bytes(self) -> int | None:
        """See `Host`."""
        return 10 * 1024**3
