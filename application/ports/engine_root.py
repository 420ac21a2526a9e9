"""Where Docker Engine keeps what it has."""

from __future__ import annotations

from typing import Protocol


class EngineRoot(Protocol):
    """The engine that Compose will talk to, asked directly."""

    async def directory(self) -> str:
        """An absolute path on the engine's machine. Raises `RuntimeUnavailable`, as `Engine` does."""
        ...
