"""Who holds the lock of a state directory, from the kernel's list: without trying to take it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from adapters.filesystem.instance_lock import LOCK_FILE
from adapters.storage_errors import translated

LOCKS: Final = Path("/proc/locks")
_FIELDS: Final = 6


def holder_of(state_dir: Path, locks: Path = LOCKS) -> int | None:
    """The process; None where nobody holds it, or somebody in another container.

    Raises `StorageUnavailable` where this user may not look into the directory.
    """
    path = state_dir / LOCK_FILE
    with translated(path, {}):
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        text = locks.read_text(encoding="ascii")
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in text.splitlines():
        fields = line.split()
        # 1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF; one who waits has an arrow before it.
        if len(fields) > _FIELDS and fields[1] == "FLOCK" and fields[5] == device:
            pid = int(fields[4])
            return pid if pid > 0 else None
    return None
