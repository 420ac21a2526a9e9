"""What a program says about itself when it is asked in detail."""

from __future__ import annotations

import platform
import ssl
import sys
from importlib import metadata

from entrypoints import build_stamp
from entrypoints.version import VERSION


def about(program: str) -> str:
    """Version, commit, surroundings, and each locked dependency that is installed: for a report."""
    lines = [
        f"{program} {VERSION}",
        f"commit: {_commit()}",
        f"python: {platform.python_version()}, {platform.python_implementation()}, {sys.executable}",
        f"platform: {platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        f"openssl: {ssl.OPENSSL_VERSION}",
        *(["dependencies:"] if build_stamp.DEPENDENCIES else []),
        *(f"  {line}" for line in _dependencies()),
    ]
    return "\n".join(lines)


def _commit() -> str:
    if build_stamp.COMMIT is None:
        return "none, it runs from a checkout"
    changed = ", with changes that are not committed" if build_stamp.IS_DIRTY else ""
    return (build_stamp.COMMIT or "unknown") + changed


def _dependencies() -> list[str]:
    lines = []
    for locked in build_stamp.DEPENDENCIES:
        name, _, version = locked.partition("==")
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        is_it = installed == version
        lines.append(f"{name}=={installed}" + ("" if is_it else f" (locked: {version})"))
    return lines
