"""Builds what a host gets: one file that needs nothing but a Python, or the wheel.

Run it as a module, with the interpreter of the project's virtual environment, as `make build-agent`,
`make build-linux` and `make build-wheel` do. The same commit gives the same bytes, wherever it is
built.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.building.paths import ROOT, BuildFailed
from deploy.building.platforms import MACHINES
from deploy.building.single_file import build_single_file
from deploy.building.stamp import stamp_of_sources
from deploy.building.wheels import build_wheel

ALL_PLATFORMS: Final = tuple(MACHINES)
FILES: Final = {
    "agent": ALL_PLATFORMS,
    **{f"agent-{name}": (name,) for name in ALL_PLATFORMS},
}
"""The single files, and the platforms that each is for."""

WANTED: Final = {
    "agent": ("agent",),
    "linux": tuple(FILES),
    **{name: (f"agent-{name}",) for name in ALL_PLATFORMS},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what the argument says; returns the exit code."""
    parser = argparse.ArgumentParser(description="Builds the agent's wheel or single files.")
    parser.add_argument("what", choices=("wheel", *WANTED))
    parser.add_argument("--into", type=Path, help="the directory, instead of bin/ or dist/")
    options = parser.parse_args(arguments)
    # What others may do with the files is not for whoever builds them to decide.
    os.umask(0o022)
    stamp = stamp_of_sources()
    try:
        if options.what == "wheel":
            built = [build_wheel(options.into or ROOT / "dist", stamp)]
        else:
            directory = options.into or ROOT / "bin"
            built = [
                path
                for name in WANTED[options.what]
                for path in build_single_file(directory / name, FILES[name], stamp)
            ]
            built.append(_write_sums(directory))
    except (BuildFailed, subprocess.CalledProcessError) as exc:
        print(f"build: {exc}", file=sys.stderr)
        return 1
    for path in built:
        print(f"{os.path.relpath(path)}: {path.stat().st_size / 1_000_000:.1f} MB")
    return 0


def _write_sums(directory: Path) -> Path:
    """Write the sums of all single files there and their bills, for `sha256sum --check`."""
    names = sorted(name for file in FILES for name in (file, f"{file}.cdx.json"))
    lines = [
        f"{hashlib.sha256((directory / name).read_bytes()).hexdigest()}  {name}\n"
        for name in names
        if (directory / name).exists()
    ]
    sums = directory / "SHA256SUMS"
    sums.write_text("".join(lines), encoding="ascii")
    return sums


if __name__ == "__main__":
    sys.exit(main())
