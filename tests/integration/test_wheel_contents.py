"""What is no Python module and belongs to the programs is in the wheel too."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "entrypoints/control_plane/rest/install.sh"
BUILD = """\
import sys
from pathlib import Path
sys.path.insert(0, "deploy")
import build
build.build_wheel(Path(sys.argv[1]))
"""


def test_the_script_that_installs_the_agent_is_in_the_wheel(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(SCRIPT) == (ROOT / SCRIPT).read_bytes()
