"""The same commit gives the same bytes: built by others, elsewhere, with other habits.

Here it is the wheel; `make test-build` does it with everything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WHAT = os.environ.get("BUILD_TWICE", "wheel")


@dataclass(frozen=True)
class Surroundings:
    umask: str
    variables: dict[str, str]


HERE = Surroundings("022", {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"})
THERE = Surroundings("077", {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "2"})


def _checkout(directory: Path) -> Path:
    """The files of this checkout as they are, with its history."""
    clone = ["git", "clone", "--quiet", "--no-checkout", str(ROOT), str(directory)]
    subprocess.run(clone, check=True)
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    listed = subprocess.run([*listing, "--exclude-standard"], check=True, capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, directory / name)
    # Without an index, git would say that everything was changed.
    subprocess.run(["git", "-C", str(directory), "reset", "--quiet"], check=True)
    # Downloads are not what is compared; they are checked against the lock file in any case.
    (directory / ".cache").mkdir()
    (ROOT / ".cache" / "wheels").mkdir(parents=True, exist_ok=True)
    (directory / ".cache" / "wheels").symlink_to(ROOT / ".cache" / "wheels")
    return directory


def _built(checkout: Path, surroundings: Surroundings, home: Path) -> dict[str, bytes]:
    home.mkdir()
    command = [sys.executable, "-m", "deploy.build", WHAT, "--into", "built"]
    subprocess.run(
        ["sh", "-c", f'umask {surroundings.umask}; exec "$@"', "sh", *command],
        cwd=checkout,
        env={**os.environ, **surroundings.variables, "HOME": str(home)},
        check=True,
    )
    return {path.name: path.read_bytes() for path in (checkout / "built").iterdir()}


@pytest.mark.xdist_group("single-file")
def test_the_same_sources_give_the_same_bytes_wherever_they_are_built(tmp_path: Path) -> None:
    one, other = (_checkout(tmp_path / place) for place in ("here", "some/where/else"))
    here = _built(one, HERE, tmp_path / "home")
    there = _built(other, THERE, tmp_path / "another-home")
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []
    assert here
