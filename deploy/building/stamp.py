"""What a build says about itself: `entrypoints/build_stamp.py` of the copy that is built."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.building.lock import read_lock
from deploy.building.paths import LOCK, ROOT, SOURCES

MODULE: Final = Path("entrypoints", "build_stamp.py")
_INPUTS: Final = (*SOURCES, "requirements", "deploy/build.py", "deploy/building")


@dataclass(frozen=True)
class Stamp:
    """The commit, if git knows one, and what is locked. No time: it would be another one each time."""

    commit: str
    is_dirty: bool
    dependencies: tuple[str, ...]

    def as_module(self) -> str:
        """The module's source."""
        dependencies = "".join(f"    {one!r},\n" for one in self.dependencies)
        return (
            '"""Written by the build."""\n\nfrom __future__ import annotations\n\n'
            "from typing import Final\n\n"
            f"COMMIT: Final[str | None] = {self.commit!r}\nIS_DIRTY: Final[bool] = {self.is_dirty!r}\n"
            f"DEPENDENCIES: Final[tuple[str, ...]] = (\n{dependencies})\n"
        )


def stamp_of_sources() -> Stamp:
    """What git and the lock file say now. Without git, the commit is empty."""
    pins = tuple(f"{pin.name}=={pin.version}" for pin in read_lock(LOCK))
    try:
        commit = _git("rev-parse", "HEAD").strip()
        changed = _git("status", "--porcelain", "--", *_INPUTS).strip()
    except (OSError, subprocess.CalledProcessError) as exc:
        print(f"build: no commit is known, as git does not work here: {exc}", file=sys.stderr)
        return Stamp("", is_dirty=False, dependencies=pins)
    return Stamp(commit, is_dirty=bool(changed), dependencies=pins)


def _git(*arguments: str) -> str:
    # An unchanged index stays unwritten: somebody else may be using it.
    command = ["git", "--no-optional-locks", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
