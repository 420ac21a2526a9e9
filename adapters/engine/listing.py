"""What an entry of a listing of the engine's says, whatever it is asked for: its names and labels.

The labels are those that Compose gives to what it makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

COMPOSE_LABEL: Final = "com.docker.compose."
PROJECT_LABEL: Final = f"{COMPOSE_LABEL}project"
MAX_LISTING_BYTES: Final = 16 * 1024 * 1024
"""About 3 KiB a container, and more with many labels."""


def name_of(entry: Mapping[str, Any]) -> str:
    """A container's name; empty for none. One with two slashes is a link to another container."""
    names = [name[1:] for name in entry.get("Names") or () if "/" not in name[1:]]
    return str(names[0]) if names else ""


def labels_of(entry: Mapping[str, Any]) -> Mapping[str, str]:
    """Its labels; the engine says null for none."""
    return entry.get("Labels") or {}


def project_of(entry: Mapping[str, Any]) -> str:
    """The project whose label it carries; empty for none."""
    return str(labels_of(entry).get(PROJECT_LABEL, ""))
