"""Builds what a host gets: the wheel, or one file that needs nothing but a Python.

Run it with the interpreter of the project's virtual environment, through `make build-agent` and
`make build-linux`. The same sources and lock files give the same bytes, wherever they are built.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from packaging.tags import compatible_tags, cpython_tags

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "requirements" / "agent.lock"
SOURCE_PACKAGES: Final = ("domain", "application", "adapters", "entrypoints")
SOURCES: Final = (*SOURCE_PACKAGES, "pyproject.toml", "README.md")

PYTHON_MINORS: Final = (11, 12, 13)
ARCHITECTURES: Final = ("x86_64", "aarch64")
GLIBC_MINORS: Final = range(28, 16, -1)
"""glibc 2.28 is what the newest of the locked wheels ask for; every system with Python 3.11 has it."""

EARLIEST_ZIP_TIME: Final = "315532800"
"""1980-01-01: zip files know no earlier time, and no build should leave its own in one."""


def main() -> int:
    """Build what the argument says; returns the exit code."""
    parser = argparse.ArgumentParser(description="Builds the agent's wheel or single file.")
    parser.add_argument("what", choices=("wheel", "single-file"))
    what = parser.parse_args().what
    built = build_wheel(ROOT / "dist") if what == "wheel" else build_single_file(ROOT / "bin/agent")
    print(f"{built.relative_to(ROOT)}: {built.stat().st_size / 1_000_000:.1f} MB")
    return 0


def build_wheel(directory: Path) -> Path:
    """Build the wheel of the sources into `directory`; returns its path."""
    with _copy_of_sources() as sources, tempfile.TemporaryDirectory() as built:
        _python("-m", "pip", "--disable-pip-version-check", "--quiet", "wheel", "--no-deps",
                "--no-build-isolation", "--wheel-dir", built, str(sources))  # fmt: skip
        (wheel,) = Path(built).iterdir()
        directory.mkdir(exist_ok=True)
        return Path(shutil.copy(wheel, directory))


def build_single_file(target: Path) -> Path:
    """Build a PEX of the agent and its locked dependencies, for every platform at once."""
    with tempfile.TemporaryDirectory(prefix="instadeploy-build-") as work:
        wheels = Path(work, "wheels")
        build_wheel(wheels)
        platforms = []
        for minor in PYTHON_MINORS:
            for architecture in ARCHITECTURES:
                _download(wheels, minor, architecture)
                platforms.append(f"--complete-platform={_platform(minor, architecture)}")
        target.parent.mkdir(exist_ok=True)
        _python("-m", "pex", "--pex-root", str(Path(work, "pex")), "--pre-resolved-dists",
                str(wheels), *platforms, "instadeploy", "--console-script", "instadeploy-agent",
                "--sh-boot", "--include-tools", "--no-compile", "--output-file",
                str(target))  # fmt: skip
    _prove_that_it_runs_alone(target)
    return target


def _prove_that_it_runs_alone(agent: Path) -> None:
    """Start it as a file and unpacked, where packages called like ours wait to be imported."""
    with tempfile.TemporaryDirectory(prefix="instadeploy-proof-") as directory:
        foreign = Path(directory, "foreign")
        for name in SOURCE_PACKAGES:
            package = foreign / name
            package.mkdir(parents=True)
            (package / "__init__.py").write_text("raise SystemExit('foreign')", encoding="ascii")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "PYTHONPATH": str(foreign),
        }
        unpacked = Path(directory, "unpacked")
        for command, more in (
            ([str(agent), "--version"], {}),
            ([str(agent), "venv", "--compile", str(unpacked)], {"PEX_TOOLS": "1"}),
            ([str(unpacked / "bin/instadeploy-agent"), "--version"], {}),
            ([str(unpacked / "bin/python"), "-I", "-m", "entrypoints.agent", "--version"], {}),
        ):
            subprocess.run(  # noqa: S603 - what has just been built
                command, cwd=foreign, env={**environment, **more}, check=True, stdout=sys.stderr
            )


@contextmanager
def _copy_of_sources() -> Iterator[Path]:
    """A copy, with the same permissions whatever the umask of the checkout was.

    setuptools leaves a build directory beside what it builds, whose stale files get into wheels.
    """
    with tempfile.TemporaryDirectory(prefix="instadeploy-sources-") as directory:
        copy = Path(directory)
        for name in SOURCES:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, copy / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, copy / name)
        for path in copy.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield copy


def _download(wheels: Path, minor: int, architecture: str) -> None:
    platforms = (f"--platform={name}" for name in _platform_names(architecture))
    _python("-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps",
            "--only-binary=:all:", "--require-hashes", "--requirement", str(LOCK), "--dest",
            str(wheels), "--implementation=cp", f"--python-version=3.{minor}",
            f"--abi=cp3{minor}", "--abi=abi3", "--abi=none", *platforms)  # fmt: skip


def _platform(minor: int, architecture: str) -> str:
    """What pex would find out by asking a Python of that version on a machine of that kind."""
    names, interpreter = _platform_names(architecture), f"cp3{minor}"
    tags = [
        *cpython_tags((3, minor), [interpreter], names),
        *compatible_tags((3, minor), interpreter, names),
    ]
    environment = {
        "implementation_name": "cpython",
        "implementation_version": f"3.{minor}.0",
        "os_name": "posix",
        "platform_machine": architecture,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"3.{minor}.0",
        "python_version": f"3.{minor}",
        "sys_platform": "linux",
    }
    return json.dumps(
        {"marker_environment": environment, "compatible_tags": [str(tag) for tag in tags]}
    )


def _platform_names(architecture: str) -> list[str]:
    return [
        *(f"manylinux_2_{minor}_{architecture}" for minor in GLIBC_MINORS),
        f"manylinux2014_{architecture}",
        f"linux_{architecture}",
    ]


def _python(*arguments: str) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PEX")},
        "SOURCE_DATE_EPOCH": EARLIEST_ZIP_TIME,
    }
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, env=environment)  # noqa: S603 - nothing here comes from outside


if __name__ == "__main__":
    sys.exit(main())
