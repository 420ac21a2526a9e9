"""What kind of machine this is, and the image that the projects here are made of."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.compose_by_hand import run_docker
from entrypoints.version import VERSION

IMAGE: Final = "instadeploy-demo:local"
IMAGE_SCRIPT: Final = Path("deploy", "test-image.sh")


def description() -> dict[str, str]:
    """Its class, not its name."""
    cores = len(os.sched_getaffinity(0))
    return {
        "agent": f"{VERSION}, measured on {datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{platform.system()} on {platform.machine()}, {cores} cores",
        "Python": platform.python_version(),
        "Docker Engine": run_docker("version", "--format", "{{.Server.Version}}").strip(),
        "Docker Compose": run_docker("compose", "version", "--short").strip(),
    }


def local_image(root: Path) -> str:
    """The name of a small image that is on this machine and needs no registry."""
    known = subprocess.run(
        ["docker", "image", "inspect", IMAGE], capture_output=True, check=False, timeout=60
    )
    if known.returncode == 0:
        return IMAGE
    # It would also renew an image that is there, under the feet of what runs from it.
    subprocess.run([str(root / IMAGE_SCRIPT)], check=True, timeout=600)
    return IMAGE
