"""A service manager that remembers what it was told."""

from __future__ import annotations

from domain.link_status import LinkStatus


class FakeServiceManager:
    """`told` holds the words, in order."""

    def __init__(self, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self.told: list[str] = []
        self.statuses: list[LinkStatus] = []

    def ready(self) -> None:
        """See `ServiceManager`."""
        self.told.append("ready")

    def alive(self) -> None:
        """See `ServiceManager`."""
        self.told.append("alive")

    def status(self, status: LinkStatus) -> None:
        """See `ServiceManager`."""
        self.statuses.append(status)

    def stopping(self) -> None:
        """See `ServiceManager`."""
        self.told.append("stopping")
