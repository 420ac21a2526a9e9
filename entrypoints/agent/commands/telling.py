"""What the commands have in common: who may call them, and how they say things."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from domain.errors import InstaDeployError, TransportRefused

SYSTEMD: Final = Path("/run/systemd/system")
EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2


class CannotBegin(Exception):
    """What has to hold before anything is done does not."""


def require_root(command: str) -> None:
    """Raises `CannotBegin` for anybody else."""
    if os.geteuid() != 0:
        raise CannotBegin(f"{command} changes this machine, and needs root: run it with sudo")


def require_systemd(command: str) -> None:
    """Raises `CannotBegin` where systemd does not run the machine."""
    if not SYSTEMD.is_dir():
        raise CannotBegin(
            f"systemd does not run this machine, and {command} makes a unit of systemd's. Without it, "
            "have whatever starts your services start `instadeploy-agent`; the README has its variables"
        )


def say(text: str) -> None:
    """A step, or what came of it."""
    print(text, flush=True)


def complain(exc: Exception) -> int:
    """Say what went wrong and what to do; returns the exit code."""
    text = str(exc)
    if isinstance(exc, TransportRefused):
        text += f"\n{exc.advice}"
    for line in text.splitlines() or [""]:
        print(f"instadeploy-agent: {line}", file=sys.stderr)
    return EXIT_FAILED


EXPECTED: Final = (CannotBegin, InstaDeployError)
"""What is said without a traceback."""
