"""Tells when another attempt to connect makes sense."""

from __future__ import annotations

from typing import Protocol


class NetworkChanges(Protocol):
    """Changes of the host's links, addresses and routes."""

    async def changed(self) -> None:
        """Wait for the next change; for ever on a host that does not tell. Cancelling is harmless."""
        ...
