"""Sees to it that one state directory has one agent."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from domain.errors import Conflict, StorageUnavailable

LOCK_FILE: Final = "agent.lock"


class InstanceLock:
    """Held until this process ends; the kernel lets go of it however that happens."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take it.

        Raises `Conflict` where another agent has it, `StorageUnavailable` where the state directory
        cannot be used.
        """
        path = self._state_dir / LOCK_FILE
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            raise StorageUnavailable(
                f"AGENT_STATE_DIR: {self._state_dir} cannot be used: {exc.strerror}"
            ) from exc
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise Conflict(
                f"AGENT_STATE_DIR: another agent is running with {self._state_dir}"
            ) from None
        self._fd = fd
