"""The single file: a PEX of the agent's wheel and its locked dependencies."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from deploy.building.paths import run_python
from deploy.building.platforms import PYTHON_MINORS, described, runs_here
from deploy.building.proof import prove_that_it_runs_alone
from deploy.building.sbom import bill_of_materials, written
from deploy.building.stamp import Stamp
from deploy.building.wheels import build_wheel, locked_wheels


def build_single_file(target: Path, platforms: tuple[str, ...], stamp: Stamp) -> list[Path]:
    """Build it, and its bill of materials beside it; returns both paths."""
    with tempfile.TemporaryDirectory(prefix="instadeploy-build-") as work:
        wheels = Path(work, "wheels")
        ours = build_wheel(wheels, stamp)
        # A wheel without compiled code is there for each platform, and the same.
        theirs = {wheel.name: wheel for name in platforms for wheel in locked_wheels(name)}
        for wheel in theirs.values():
            shutil.copy(wheel, wheels)
        targets = [
            f"--complete-platform={described(name, minor)}"
            for minor in PYTHON_MINORS
            for name in platforms
        ]
        target.parent.mkdir(parents=True, exist_ok=True)
        # -I: without it, a sitecustomize on PYTHONPATH is imported before PEX can prevent it.
        run_python("-m", "pex", "--pex-root", str(Path(work, "pex")), "--pre-resolved-dists",
                   str(wheels), *targets, "instadeploy", "--console-script",
                   "instadeploy-agent", "--sh-boot", "--inject-python-args=-I",
                   "--include-tools", "--no-compile", "--output-file", str(target))  # fmt: skip
        target.chmod(0o755)
        bill = target.with_name(f"{target.name}.cdx.json")
        bill.write_text(
            written(bill_of_materials(target, ours, list(theirs.values()), platforms, stamp)),
            encoding="utf-8",
        )
    if runs_here(platforms):
        prove_that_it_runs_alone(target)
    return [target, bill]
