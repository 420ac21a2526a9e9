"""Where everything is, what goes into a build, and how it is run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / "requirements" / "agent.lock"
OUR_PACKAGES: Final = ("domain", "application", "adapters", "entrypoints")
SOURCES: Final = (*OUR_PACKAGES, "pyproject.toml", "README.md")

EARLIEST_ZIP_TIME: Final = "315532800"
"""1980-01-01: zip files know no earlier time, and no build should leave its own in one."""


class BuildFailed(Exception):
    """What is to be built must not be; the message says why."""


def run_python(*arguments: str) -> None:
    """Run a module of the build's own environment, which no variable of the caller's changes."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PEX")},
        "SOURCE_DATE_EPOCH": EARLIEST_ZIP_TIME,
    }
    command = [sys.executable, "-I", *arguments]
    subprocess.run(command, check=True, env=environment)  # noqa: S603 - nothing here comes from outside
