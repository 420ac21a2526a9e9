"""systemd's units, through systemctl and journalctl. Blocking."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from adapters.machine.journal import journal_of
from adapters.machine.programs import output_of
from domain.installation import UnitActivity, UnitState

START_S: Final = 120.0
_PROCESSES: Final = Path("/proc")
_UNIT_FAILED: Final = 1
"""What systemctl ends with where the unit, and not systemctl, has failed."""
_PROPERTIES: Final = (
    "LoadState", "ActiveState", "UnitFileState", "MainPID", "StatusText", "ExecMainStatus",
    "NRestarts", "ActiveEnterTimestamp",
)  # fmt: skip


class SystemdUnits:
    """The part of `Machine` that is about units."""

    def make_temporary_files(self, configuration: str) -> None:
        """See `Machine`."""
        output_of("systemd-tmpfiles", "--create", configuration)

    def reload_units(self) -> None:
        """See `Machine`."""
        output_of("systemctl", "daemon-reload")

    def enable(self, unit: str) -> None:
        """See `Machine`."""
        output_of("systemctl", "enable", "--quiet", unit)

    def disable(self, unit: str) -> None:
        """See `Machine`."""
        output_of("systemctl", "disable", "--quiet", unit)

    def restart(self, unit: str) -> None:
        """See `Machine`."""
        either = (0, _UNIT_FAILED)
        output_of("systemctl", "reset-failed", "--quiet", unit, allowed=either)
        output_of("systemctl", "restart", unit, timeout_s=START_S, allowed=either)

    def stop(self, unit: str) -> None:
        """See `Machine`."""
        output_of("systemctl", "stop", unit, timeout_s=START_S)

    def unit(self, name: str) -> UnitState | None:
        """See `Machine`."""
        options = [f"--property={one}" for one in _PROPERTIES]
        text = output_of("systemctl", "show", *options, name)
        found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if found.get("LoadState", "not-found") == "not-found":
            return None
        return UnitState(
            UnitActivity(found["ActiveState"]),
            is_enabled=found["UnitFileState"].startswith("enabled"),
            main_pid=int(found["MainPID"]),
            status_text=found["StatusText"],
            exit_status=int(found["ExecMainStatus"]),
            restarts=int(found["NRestarts"]),
            since=found["ActiveEnterTimestamp"],
            is_masked=found["LoadState"] == "masked",
        )

    def left_running(self, unit: str) -> Sequence[int]:
        """See `Machine`."""
        found = []
        for path in _PROCESSES.glob("[0-9]*/cgroup"):
            try:
                groups = path.read_text(encoding="ascii", errors="replace")
            except OSError:
                continue  # It has ended.
            if any(line.endswith(f"/{unit}") for line in groups.splitlines()):
                found.append(int(path.parent.name))
        return sorted(found)

    def last_lines(self, unit: str, count: int) -> Sequence[str]:
        """See `Machine`."""
        return [line.text for line in journal_of(unit, count)]
