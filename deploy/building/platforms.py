"""The platforms that a single file is for."""

from __future__ import annotations

import json
import platform
from typing import Final

from packaging.tags import compatible_tags, cpython_tags

PYTHON_MINORS: Final = (11, 12, 13)
MACHINES: Final = {"linux-amd64": "x86_64", "linux-arm64": "aarch64"}
"""What the protocol calls a platform, and what the kernel calls its machines."""

GLIBC_MINORS: Final = range(28, 16, -1)
"""glibc 2.28 is what the newest of the locked wheels ask for; every system with Python 3.11 has it."""


def runs_here(names: tuple[str, ...]) -> bool:
    """Whether a file for these platforms can be tried on this machine."""
    return platform.system() == "Linux" and platform.machine() in [MACHINES[one] for one in names]


def names_of_wheels(name: str) -> list[str]:
    """The platform tags of wheels that run there, the best first."""
    machine = MACHINES[name]
    return [
        *(f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS),
        f"manylinux2014_{machine}",
        f"linux_{machine}",
    ]


def described(name: str, minor: int) -> str:
    """What pex would find out by asking a Python of that version on a machine of that kind."""
    names, interpreter = names_of_wheels(name), f"cp3{minor}"
    tags = [
        *cpython_tags((3, minor), [interpreter], names),
        *compatible_tags((3, minor), interpreter, names),
    ]
    environment = {
        "implementation_name": "cpython",
        "implementation_version": f"3.{minor}.0",
        "os_name": "posix",
        "platform_machine": MACHINES[name],
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
