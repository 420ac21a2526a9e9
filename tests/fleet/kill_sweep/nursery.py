"""Where control planes come from that are to die: a process that has one at a time."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from tests.fleet.plane_process import Child

LAUNCHER: Final = "tests.fleet.kill_sweep.launcher"
CHECKOUT: Final = Path(__file__).resolve().parents[3]
END_S: Final = 30.0


class Nursery:
    """A context manager. `begin` is as `PlaneProcess` takes it; the one before must have ended by then."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", LAUNCHER],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process is not None
        with process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def begin(self, home: Path, environment: Mapping[str, str], log: Path) -> Child:
        """Start a control plane."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        birth = {"home": str(home), "environment": dict(environment), "log": str(log)}
        process.stdin.write(json.dumps(birth).encode() + b"\n")
        return _Born(process)


class _Born:
    """See `Child`. Whoever waits in another thread and whoever looks here get the same."""

    def __init__(self, nursery: subprocess.Popen[bytes]) -> None:
        assert nursery.stdout is not None
        self._answers = nursery.stdout
        self._lock = threading.Lock()
        self._code: int | None = None
        self.pid = self._answer()

    def poll(self) -> int | None:
        if self._code is None and self._lock.acquire(blocking=False):
            try:
                self._look(0.0)
            finally:
                self._lock.release()
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        with self._lock:
            self._look(timeout)
            if self._code is None:
                raise subprocess.TimeoutExpired(LAUNCHER, timeout or 0.0)
            return self._code

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _look(self, timeout: float | None) -> None:
        if self._code is None and select.select([self._answers], [], [], timeout)[0]:
            self._code = self._answer()

    def _answer(self) -> int:
        line = self._answers.readline()
        if not line:
            raise AssertionError("the nursery has ended")
        return int(line)
