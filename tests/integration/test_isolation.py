"""A directory that holds packages called like ours cannot take the agent's place in production."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints.version import VERSION


@pytest.fixture
def foreign_directory(tmp_path: Path) -> Path:
    for name in ("domain", "application", "adapters", "entrypoints"):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text("raise SystemExit('foreign')", encoding="ascii")
    return tmp_path


def _run(where: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=where,
        env={"PYTHONPATH": str(where)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_isolated_start_imports_the_agents_own_packages(foreign_directory: Path) -> None:
    ran = _run(foreign_directory, sys.executable, "-I", "-m", "entrypoints.agent", "--version")
    assert (ran.stdout, ran.stderr) == (f"instadeploy-agent {VERSION}\n", "")


def test_without_isolation_the_working_directory_would_win(foreign_directory: Path) -> None:
    ran = _run(foreign_directory, sys.executable, "-m", "entrypoints.agent", "--version")
    assert (ran.returncode, ran.stderr) == (1, "foreign\n")
