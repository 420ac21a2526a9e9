"""That a single file runs what is in it, and nothing else that could be imported."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from deploy.building.paths import OUR_PACKAGES

FOREIGN_PACKAGES: Final = (*OUR_PACKAGES, "json", "yaml", "pydantic")
STARTUP_MODULES: Final = ("sitecustomize", "usercustomize")
"""What Python imports on its own, wherever it finds it, before any program runs."""

_PYTHON_MINORS: Final = range(11, 14)


def lay_traps(directory: Path) -> dict[str, str]:
    """Put foreign modules where an agent might find them; returns the environment that leads there.

    A program that is started with it in `directory` and imports one of them ends at once.
    """
    ours = "import os; print('foreign', __name__, __file__, flush=True); os._exit(99)\n"
    for name in FOREIGN_PACKAGES:
        package = directory / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(ours, encoding="ascii")
    homes = [
        directory / ".local" / "lib" / f"python3.{minor}" / "site-packages"
        for minor in _PYTHON_MINORS
    ]
    for place in (directory, *homes):
        place.mkdir(parents=True, exist_ok=True)
        for name in STARTUP_MODULES:
            (place / f"{name}.py").write_text(ours, encoding="ascii")
    return {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONPATH": str(directory)}


def prove_that_it_runs_alone(agent: Path) -> None:
    """Start it as a file and unpacked, where foreign modules wait to be imported."""
    with tempfile.TemporaryDirectory(prefix="instadeploy-proof-") as directory:
        foreign = Path(directory, "foreign")
        environment = lay_traps(foreign)
        unpacked = Path(directory, "unpacked")
        for command, more in (
            ([str(agent.resolve()), "--version"], {}),
            ([str(agent.resolve()), "venv", "--compile", str(unpacked)], {"PEX_TOOLS": "1"}),
            ([str(unpacked / "bin/instadeploy-agent"), "--version"], {}),
            ([str(unpacked / "bin/python"), "-I", "-m", "entrypoints.agent", "--version"], {}),
        ):
            subprocess.run(  # noqa: S603 - what has just been built
                command, cwd=foreign, env={**environment, **more}, check=True, stdout=sys.stderr
            )
