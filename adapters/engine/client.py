"""Asks Docker Engine over its socket. GET is the only method that this module can say.

API: https://docs.docker.com/reference/api/engine/. `/_ping` and `/version` need no negotiation:
every engine serves them without a version in the path.
"""

from __future__ import annotations

import json
from typing import Final

from adapters.engine.address import EngineAddress
from application.ports.engine import EngineInfo

ANSWER_S: Final = 5.0


class SocketEngine:
    """The engine at a `unix://` or `tcp://` address, the same that Compose is given."""

    def __init__(self, docker_host: str, *, answer_s: float = ANSWER_S) -> None:
        self._address = EngineAddress(docker_host)
        self._answer_s = answer_s

    async def ping(self) -> None:
        """See `Engine`."""
        if await self._get("/_ping") != b"OK":
            raise self._address.is_not_docker()

    async def info(self) -> EngineInfo:
        """See `Engine`."""
        body = await self._get("/version")
        try:
            found = json.loads(body)
            return EngineInfo(version=str(found["Version"]), api_version=str(found["ApiVersion"]))
        except (ValueError, KeyError, TypeError):
            raise self._address.is_not_docker() from None

    async def _get(self, path: str) -> bytes:
        # Imported when it is first needed: an agent that waits for work does without h11's memory.
        from adapters.engine.exchange import get  # noqa: PLC0415

        async with self._address.connected(self._answer_s) as (reader, writer):
            return await get(reader, writer, path)
