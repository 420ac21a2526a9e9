"""The programs as they are installed: a wheel in a virtual environment of its own, compiled.

Each is kept between runs and made again where what it was made from has changed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGES: Final = ("domain", "application", "adapters", "entrypoints")
STAMP: Final = "made-from.json"
PIP_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Form:
    """One of the programs: where its environment is kept, and the lock file that has its dependencies."""

    directory: str
    lock: Path


AGENT: Final = Form("bench-venv", Path("requirements", "agent.lock"))
CONTROL_PLANE: Final = Form("bench-venv-control-plane", Path("requirements", "control-plane.lock"))


def installed_python(root: Path, form: Form = AGENT) -> Path:
    """The interpreter of an environment that holds the sources below `root` as they are now."""
    environment = root / ".cache" / form.directory
    python = environment / "bin" / "python"
    dependencies = _digest(root, [root / form.lock])
    sources = _digest(root, [root / "pyproject.toml", *_source_files(root)])
    made_from = _read_stamp(environment)
    if made_from.get("dependencies") != dependencies:
        _make_environment(root / form.lock, environment, python)
        made_from = {}
    if made_from.get("sources") != sources:
        _install_packages(root, python)
        stamp = {"dependencies": dependencies, "sources": sources}
        (environment / STAMP).write_text(json.dumps(stamp), encoding="ascii")
    return python


def _make_environment(lock: Path, environment: Path, python: Path) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    # Without pip, which a production environment has no use for, and which Debian's venv cannot give.
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(environment)],
        check=True,
        timeout=PIP_S,
    )
    _install(python, "--require-hashes", "--requirement", str(lock))


def _install_packages(root: Path, python: Path) -> None:
    # From a copy: setuptools leaves a build directory behind, whose stale files get into wheels.
    with tempfile.TemporaryDirectory(prefix="instadeploy-bench-") as copy:
        for package in PACKAGES:
            shutil.copytree(
                root / package, Path(copy, package), ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(root / name, copy)
        # With the setuptools of this environment, so that nothing has to be fetched for it.
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", f"{copy}/dist", copy)
        (wheel,) = Path(copy, "dist").glob("*.whl")
        _install(python, "--no-deps", "--force-reinstall", str(wheel))


def _install(python: Path, *arguments: str) -> None:
    _pip("--python", str(python), "install", "--compile", *arguments)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True, timeout=PIP_S)


def _source_files(root: Path) -> list[Path]:
    return [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]


def _digest(root: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _read_stamp(environment: Path) -> dict[str, str]:
    try:
        found = json.loads((environment / STAMP).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
