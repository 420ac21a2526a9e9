"""The agent as the one file that hosts get, built once for all tests of a run."""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
import sys
from pathlib import Path

from deploy.building.platforms import MACHINES

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".cache" / "test-agent"
RUN_VARIABLE = "PYTEST_XDIST_TESTRUNUID"
"""The same in all processes of a run; without it, there is one process."""


def built_agent() -> Path:
    """The file, for this machine; the first process that asks for it builds it, others wait."""
    (here,) = (name for name, machine in MACHINES.items() if machine == platform.machine())
    run = os.environ.get(RUN_VARIABLE, str(os.getpid()))
    BUILT.mkdir(parents=True, exist_ok=True)
    with (BUILT / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if lock.read() != run:
            command = [sys.executable, "-m", "deploy.build", here, "--into", str(BUILT)]
            subprocess.run(command, cwd=ROOT, check=True)
            lock.truncate(0)
            lock.write(run)
    return BUILT / f"agent-{here}"
