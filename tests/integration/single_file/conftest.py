"""One build of this machine's single file, for all tests here."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.building.platforms import MACHINES

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def agent_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (here,) = (name for name, machine in MACHINES.items() if machine == platform.machine())
    directory = tmp_path_factory.mktemp("bin")
    command = [sys.executable, "-m", "deploy.build", here, "--into", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True)
    return directory / f"agent-{here}"
