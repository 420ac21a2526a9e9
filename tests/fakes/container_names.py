"""Puts names right that a test has put wrong in the fake Compose."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from domain.errors import RuntimeUnavailable
from domain.project import ProjectName
from tests.fakes.compose_runtime import FakeComposeRuntime


class FakeContainerNames:
    """Works on what `FakeComposeRuntime.misname` made; set `unavailable` to have it refuse."""

    def __init__(self, runtime: FakeComposeRuntime) -> None:
        self._runtime = runtime
        self.unavailable: RuntimeUnavailable | None = None
        self.asked: list[str] = []
        """Compose's names of the projects whose names it was to put right, in order."""
        self.settled: list[str] = []
        """Those that it was to wait for."""

    async def settle(self, name: ProjectName) -> None:
        """See `ContainerNames`."""
        self.settled.append(name.compose_name)
        await asyncio.sleep(0)
        if self.unavailable is not None:
            raise self.unavailable

    async def put_right(self, name: ProjectName) -> Sequence[str]:
        """See `ContainerNames`."""
        self.asked.append(name.compose_name)
        await asyncio.sleep(0)
        if self.unavailable is not None:
            raise self.unavailable
        return self._runtime.put_names_right(name.compose_name)

    async def half_removed(self, name: ProjectName) -> Sequence[str]:
        """See `ContainerNames`."""
        await asyncio.sleep(0)
        if self.unavailable is not None:
            raise self.unavailable
        return self._runtime.half_removed(name.compose_name)

    async def rename(self, name: ProjectName, proper: Mapping[str, str]) -> Sequence[str]:
        """See `ContainerNames`."""
        await asyncio.sleep(0)
        if self.unavailable is not None:
            raise self.unavailable
        return self._runtime.rename(name.compose_name, proper)
