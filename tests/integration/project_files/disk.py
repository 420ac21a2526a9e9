"""What lies on a disk, and disks that fail."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

COMPOSE_FILE = "docker-compose.yml"


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.lstat().st_mode))


def entries(projects: Path) -> set[str]:
    """All that is below the projects directory."""
    return {str(path.relative_to(projects)) for path in projects.rglob("*")}


def failing_with(number: int) -> Callable[..., object]:
    """A system call that always fails this way."""

    def fail(*_arguments: object, **_options: object) -> object:
        raise OSError(number, os.strerror(number))

    return fail
