"""The machine that this process runs on."""

from __future__ import annotations

import os
import platform
import socket
import sys
from pathlib import Path

from application.ports.host import HostFacts

# Go's names, which protocol v1 speaks: https://go.dev/doc/install/source#environment
_GO_ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "riscv64": "riscv64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "loongarch64": "loong64",
}


def go_architecture(system: str, machine: str) -> str:
    """`os-arch` in Go's words; a machine that Go does not know keeps its own name."""
    machine = machine.lower()
    return f"{system.lower()}-{_GO_ARCHITECTURES.get(machine, machine)}"


class LocalHost:
    """Reads the facts once; the room is that on the disk of `state_dir`."""

    def __init__(self, agent_version: str, state_dir: Path) -> None:
        self._state_dir = state_dir
        machine = platform.machine()
        if sys.maxsize < 2**32 and machine == "x86_64":
            machine = "i686"  # A 32-bit Python on a 64-bit kernel.
        self._facts = HostFacts(
            agent_version=agent_version,
            architecture=go_architecture(platform.system(), machine),
            hostname=socket.gethostname(),
        )

    def facts(self) -> HostFacts:
        """See `Host`."""
        return self._facts

    def uptime_s(self) -> float | None:
        """See `Host`; read from /proc, which only Linux has."""
        try:
            return float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def load(self) -> float | None:
        """See `Host`."""
        try:
            return os.getloadavg()[0]
        except OSError:
            return None

    def disk_free_bytes(self) -> int | None:
        """See `Host`."""
        try:
            found = os.statvfs(self._state_dir)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize
