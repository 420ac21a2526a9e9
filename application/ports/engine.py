"""Reads from Docker Engine; it changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine says of itself."""

    version: str
    api_version: str


class Engine(Protocol):
    """The engine that Compose will talk to, asked directly."""

    async def ping(self) -> None:
        """Come back when it answers, now. Raises as `info` does, and costs the engine less."""
        ...

    async def info(self) -> EngineInfo:
        """Ask now. Raises `RuntimeUnavailable` that says what is wrong and what to do about it."""
        ...
