"""Programs that are started without their extra say which one it is, and show no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = """\
import sys
sys.modules[{module!r}] = None
from {program} import main
sys.exit(main({arguments}))
"""


@pytest.mark.parametrize(
    ("program", "module", "arguments", "extra"),
    [
        ("entrypoints.cli.__main__", "typer", ["--help"], "cli"),
        ("entrypoints.cli.__main__", "httpx", ["login", "https://cp.example"], "cli"),
        ("entrypoints.control_plane.__main__", "uvloop", ["--help"], "control-plane"),
    ],
)
def test_the_extra_that_is_missing_is_named(
    program: str, module: str, arguments: list[str], extra: str
) -> None:
    code = WITHOUT.format(module=module, program=program, arguments=arguments)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, input=""
    )
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    (sentence,) = ran.stderr.splitlines()
    assert f"the extra '{extra}' is not installed here (there is no module '{module}')" in sentence
    assert f"requirements/{extra}.lock" in sentence
