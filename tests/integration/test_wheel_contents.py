"""What is no Python module and belongs to the programs is in the wheel too."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "entrypoints/control_plane/rest/install.sh",
    "entrypoints/agent/instadeploy-agent.service",
)


def test_what_installs_an_agent_is_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.build", "wheel", "--into", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for file in FILES:
            assert archive.read(file) == (ROOT / file).read_bytes()
