"""An engine that is there, or is not."""

from __future__ import annotations

import asyncio

from application.ports.engine import EngineInfo
from domain.errors import RuntimeUnavailable

DOWN = (
    "Docker Engine does not answer at unix:///var/run/docker.sock: connection refused; "
    "start Docker Engine (systemctl start docker)"
)


class FakeEngine:
    """Answers at once. Set `is_down` to have it refuse, or clear `answers` to have it hang."""

    def __init__(self, *, is_down: bool = False) -> None:
        self.is_down = is_down
        self.version = "20.10.24"
        self.api_version = "1.41"
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def ping(self) -> None:
        """See `Engine`."""
        self.asked += 1
        await self.answers.wait()
        if self.is_down:
            raise RuntimeUnavailable(DOWN)

    async def info(self) -> EngineInfo:
        """See `Engine`."""
        await self.ping()
        return EngineInfo(version=self.version, api_version=self.api_version)
