"""File systems of a few KiB or MiB, which can be filled to the last byte. Only root may mount them."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LARGEST_BYTES: Final = 1024 * 1024


class SmallDisk:
    """A file system of its own at `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._filling = directory / "filling"

    def fill(self) -> None:
        """Leave no room."""
        with self._filling.open("ab", buffering=0) as file:
            size = LARGEST_BYTES
            while size:
                try:
                    file.write(os.urandom(size))
                except OSError as exc:
                    assert exc.errno == errno.ENOSPC  # noqa: PT017
                    size //= 2

    def empty(self) -> None:
        """Take away what `fill` has put there."""
        self._filling.unlink()


@contextlib.contextmanager
def small_disk(directory: Path, size: str) -> Iterator[SmallDisk]:
    """Mount one of this size (`64k`, `6m`), for this user alone.

    Raises `CalledProcessError` where this user may not.
    """
    directory.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(directory)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield SmallDisk(directory)
    finally:
        # Lazily: what a test that fails has left running may still be in it.
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
