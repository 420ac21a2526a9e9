"""A service manager that remembers what it was told."""

from __future__ import annotations


class FakeServiceManager:
    """`told` holds the words, in order."""

    def __init__(self, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self.told: list[str] = []

    def ready(self) -> None:
        """See `ServiceManager`."""
        self.told.append("ready")

    def alive(self) -> None:
        """See `ServiceManager`."""
        self.told.append("alive")

    def stopping(self) -> None:
        """See `ServiceManager`."""
        self.told.append("stopping")
