"""Keeps the engine from removing a container: what a write at the wrong moment does to it by chance."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def unremovable(container: str) -> Iterator[None]:
    """While this holds, the engine fails in the middle of removing it, and lists it as going."""
    said = ("docker", "inspect", "--format", "{{.HostnamePath}}", container)
    found = subprocess.run(said, capture_output=True, text=True, check=True).stdout.strip()
    held = Path(found).parent / "held"
    held.touch()
    subprocess.run(["chattr", "+i", held], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", held], check=True)
