"""What the commands have in common: who may call them, and how they say things."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from domain.errors import InstaDeployError, TransportRefused

SYSTEMD: Final = Path("/run/systemd/system")
EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
LONGEST_S: Final = 3600


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


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A terminal that is closed, or whoever wants the program to end, interrupts it as Ctrl-C does."""
    numbers = (signal.SIGHUP, signal.SIGTERM)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's
    raise KeyboardInterrupt


def say(text: str) -> None:
    """A step, or what came of it. Who has read so far may be gone: that stops nothing."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def seconds(text: str) -> float:
    """How long something may take, of the command line."""
    found = float(text)
    if not 1 <= found <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"must be 1 to {LONGEST_S} seconds")
    return found


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
