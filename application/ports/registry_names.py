"""At which registries a machine is logged in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RegistryFile:
    """Of Docker's configuration, what is no secret.

    `missing_helpers` are programs that are to give credentials out, and are not on the agent's PATH.
    `malformed` says why it is none; the rest is empty then.
    """

    path: str
    registries: Sequence[str] = ()
    helpers: Sequence[str] = ()
    missing_helpers: Sequence[str] = ()
    malformed: str = ""


class RegistryNames(Protocol):
    """Docker's `config.json`, as the agent's Compose finds it. Blocking."""

    def read(self) -> RegistryFile | None:
        """What it says; None where there is none. Raises `StorageUnavailable`."""
        ...
