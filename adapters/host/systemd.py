"""systemd's notification protocol (sd_notify(3)): one datagram a message, to a socket it names."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

from domain.link_status import LinkStatus

_MICROSECONDS: Final = 1_000_000


class SystemdServiceManager:
    """Tells systemd, where `environment` says that it listens; otherwise tells nobody."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._watchdog_s = _watchdog_s(environment) if self._address else None

    @property
    def watchdog_s(self) -> float | None:
        """See `ServiceManager`."""
        return self._watchdog_s

    def ready(self) -> None:
        """See `ServiceManager`."""
        self._tell(b"READY=1")

    def alive(self) -> None:
        """See `ServiceManager`."""
        self._tell(b"WATCHDOG=1")

    def status(self, status: LinkStatus) -> None:
        """See `ServiceManager`."""
        self._tell(f"STATUS={status}".encode("utf-8", "backslashreplace"))

    def stopping(self) -> None:
        """See `ServiceManager`."""
        self._tell(b"STOPPING=1")

    def _tell(self, state: bytes) -> None:
        if not self._address:
            return
        # A name that begins with @ is an abstract one, which the kernel knows by a zero byte.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link,
        ):
            link.settimeout(0)
            link.sendto(state, address)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """What `WATCHDOG_USEC` says, where `WATCHDOG_PID` says that it is said to this process."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(environment["WATCHDOG_USEC"])
    except (KeyError, ValueError):
        return None
    return microseconds / _MICROSECONDS if microseconds > 0 else None
