"""A real control plane with simulated agents, and the command line as a process of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fleet.plane_process import PlaneProcess
from tests.integration.cli.rig import Rig, opened
from tests.support.ports import reserved_port

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaneProcess]:
    """One for all tests: each has hosts and users of its own."""
    with reserved_port() as port:
        process = PlaneProcess(tmp_path_factory.mktemp("plane"), port)
        asyncio.run(process.start())
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
async def rig(plane: PlaneProcess, tmp_path: Path) -> AsyncIterator[Rig]:
    """A fleet and an operator of this test's own on it."""
    async with opened(plane, tmp_path, f"t{next(_NUMBERS)}") as one:
        yield one
