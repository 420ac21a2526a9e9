"""What all unit tests share: properties are tested the same everywhere, with no memory of past runs."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fakes.clock import FakeClock
from tests.support.fleet_program import FleetProgram

settings.register_profile("unit", deadline=None, database=None, max_examples=60)
settings.load_profile("unit")


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No variable of the agent's is set, and the working directory is empty."""
    for name in list(os.environ):
        if name.upper().startswith("AGENT_") or name in ("SERVER_URL", "CREDENTIALS_DIRECTORY"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture
def logging_left_alone() -> Iterator[None]:
    """What a test does to logging is undone."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    for layer in ("domain", "application", "adapters", "entrypoints"):
        logging.getLogger(layer).setLevel(logging.NOTSET)


@pytest.fixture
async def program() -> AsyncIterator[FleetProgram]:
    """A control plane on a database in memory, which runs."""
    async with FleetProgram(FakeClock()).running() as running:
        yield running
