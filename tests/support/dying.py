"""A program that is killed at every system call that changes the disk, one by one.

For each number there is a directory `<number>-<how>`, a copy of `start` where there is one, in which
a process did what it was to do until it was killed at its call of that number.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

BEFORE: Final = "before"
"""The call is not made."""
AFTER: Final = "after"
"""It is made, and is the last."""
TORN: Final = "torn"
"""It writes half of what it was to write; other calls are not counted then."""

_KILLED: Final = 9
_WRITING: Final = ("write", "pwrite")
_START: Final = "start"
_CHECKOUT: Final = Path(__file__).parent.parent.parent


def killed_at_every_call(module: str, scenario: str, root: Path) -> list[Path]:
    """Run the module, which does `kill_at_every_call`; returns the directories that it has left.

    In a process of its own, since a fork of one that has threads may hang.
    """
    program = [sys.executable, "-m", module, scenario, str(root)]
    subprocess.run(program, check=True, cwd=_CHECKOUT, timeout=300)
    return sorted(path for path in root.iterdir() if path.name != _START)


def kill_at_every_call(
    live: Callable[[Path], None], root: Path, *, calls: Sequence[str], ways: Sequence[str]
) -> None:
    """Have one process after another do `live`; `calls` are functions of `os`."""
    for how in ways:
        for number in itertools.count(1):
            directory = root / f"{number}-{how}"
            if (root / _START).exists():
                shutil.copytree(root / _START, directory, symlinks=True)
            child = os.fork()
            if child == 0:
                try:
                    _die_at(number, how, calls)
                    live(directory)
                    os._exit(0)
                finally:
                    os._exit(1)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code == 0:
                break
            assert code == _KILLED, f"{directory.name} ended with {code}"


def _die_at(number: int, how: str, calls: Sequence[str]) -> None:
    """Let this process end without a farewell at its call of that number."""
    numbers = itertools.count(1)

    def deadly(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def call_or_die(*arguments: Any, **options: Any) -> Any:
            is_read = name == "open" and not arguments[1] & os.O_CREAT
            is_whole = how == TORN and name not in _WRITING
            if is_read or is_whole or next(numbers) != number:
                return call(*arguments, **options)
            if how == TORN:
                fd, data, *position = arguments
                call(fd, data[: len(data) // 2], *position)
            elif how == AFTER:
                call(*arguments, **options)
            os._exit(_KILLED)

        return call_or_die

    for name in calls:
        setattr(os, name, deadly(name, getattr(os, name)))
