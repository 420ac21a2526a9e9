"""What the kernel says of a process. Linux's /proc, see proc(5)."""

from __future__ import annotations

import os
from pathlib import Path

_KIB = 1024


def resident_bytes(pid: int) -> int:
    """RSS: the memory that the process has in RAM, shared pages counted in full."""
    return _field(pid, "status", "VmRSS")


def proportional_bytes(pid: int) -> int:
    """PSS: RSS with each shared page divided by the number of processes that share it."""
    return _field(pid, "smaps_rollup", "Pss")


def peak_bytes(pid: int) -> int:
    """The largest RSS since the process began, or since `forget_peak`."""
    return _field(pid, "status", "VmHWM")


def forget_peak(pid: int) -> None:
    """Make the peak what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def cpu_seconds(pid: int) -> float:
    """Processor time of all its threads so far, in the kernel's ticks of usually 10 ms."""
    # The program's name, in parentheses, may hold spaces; what follows it may not.
    _, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")
    fields = rest.split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")


def _field(pid: int, file: str, name: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * _KIB
    raise LookupError(f"/proc/{pid}/{file} holds no {name}")
