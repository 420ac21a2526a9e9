"""The lock of a project: one place an engine and project, for all agents of this host.

Held by the job runner, not by the agent, so that it is let go of when the step is over or dead and
not before. Compose does not inherit it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from adapters.storage_errors import translated
from domain.errors import StorageUnavailable
from domain.project import ProjectName

_KEY_LENGTH: Final = 16


def engine_key(docker_host: str) -> str:
    """The same for all addresses of one engine, as far as the file system tells."""
    address = urlsplit(docker_host)
    if address.scheme == "unix":
        docker_host = f"unix://{os.path.realpath(address.path)}"
    return hashlib.sha256(docker_host.encode()).hexdigest()[:_KEY_LENGTH]


def make_lock_file(lock_dir: Path, docker_host: str, name: ProjectName) -> Path:
    """Where the project's lock is, which is there afterwards; it is never removed.

    Blocking. Raises `StorageUnavailable` where it cannot be made, or is somebody else's.
    """
    directory = lock_dir / engine_key(docker_host)
    with translated(directory):
        for level in (lock_dir, directory):
            level.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = level.lstat()
            # The directory above may be everybody's, as /run/lock is.
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise StorageUnavailable(f"AGENT_LOCK_DIR: {level} belongs to somebody else")
        path = directory / f"{name.compose_name}.lock"
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    return path
