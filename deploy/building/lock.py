"""The agent's lock file, as far as a build needs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name


@dataclass(frozen=True)
class Pin:
    """A locked distribution, and the SHA-256 of every file of it that may be used."""

    name: NormalizedName
    version: str
    hashes: frozenset[str]


def read_lock(path: Path) -> list[Pin]:
    """The pins of a lock file, by name."""
    pins: list[Pin] = []
    for entry in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if not entry[:1].isalnum():
            continue
        requirement, *hashes = entry.split("--hash=sha256:")
        wanted = Requirement(requirement.strip())
        version = str(wanted.specifier).removeprefix("==")
        pins.append(
            Pin(canonicalize_name(wanted.name), version, frozenset(one.strip() for one in hashes))
        )
    return sorted(pins, key=lambda pin: pin.name)
