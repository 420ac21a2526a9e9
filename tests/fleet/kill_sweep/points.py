"""Within the control plane that is to be killed: counts the points that it passes, and dies at one.

The order of what is noted is that in which it happens, whichever thread does it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.fleet.kill_sweep.strikes import ANY, How, Strike

STRUCK: Final = "struck"


class Points:
    """`notes` gets a line for each point that is come to, and one before the process dies."""

    def __init__(self, notes: Path, fatal: Strike | None) -> None:
        self._notes = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._fatal = fatal
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def before(self, names: Sequence[str]) -> list[Strike]:
        """What has all these names is about to happen; what this returns is for `after`."""
        with self._lock:
            self._counts.update((*names, ANY))
            numbered = [(name, self._counts[name]) for name in (*names, ANY)]
            self._note(" ".join(f"{name}/{number}" for name, number in numbered[:-1]))
            for name, number in numbered:
                self._perhaps_die(Strike(How.BEFORE, name, number))
        return [Strike(How.AFTER, name, number) for name, number in numbered]

    def after(self, deaths: Sequence[Strike]) -> None:
        """It has happened."""
        for one in deaths:
            self._perhaps_die(one)

    def _perhaps_die(self, here: Strike) -> None:
        if here == self._fatal:
            self._note(f"{STRUCK} {here}")
            os.kill(os.getpid(), signal.SIGKILL)

    def _note(self, line: str) -> None:
        os.write(self._notes, f"{line}\n".encode())
