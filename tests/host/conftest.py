"""What the tests on whole machines share. A missing image fails them; nothing is skipped."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.builders import IMAGE
from tests.host.machine import BARE, DOCKER, TestHost
from tests.support.agent_file import built_agent


@pytest.fixture(scope="session", autouse=True)
def _images() -> None:
    """The engine answers and has the images; `make test` has seen to both."""
    found = subprocess.run(
        ["docker", "image", "inspect", IMAGE, BARE, DOCKER],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.returncode == 0, f"run these tests with 'make test-host': {found.stderr}"


@pytest.fixture
async def bare_host() -> AsyncIterator[TestHost]:
    """A machine without Docker."""
    async with TestHost(BARE) as host:
        yield host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_host() -> AsyncIterator[TestHost]:
    """A machine without Docker, for tests that do nothing to it which another would mind."""
    async with TestHost(BARE) as host:
        yield host


@pytest.fixture
async def docker_host() -> AsyncIterator[TestHost]:
    """A machine with an engine of its own, which has the test image."""
    async with TestHost(DOCKER) as host:
        await host.load_test_image()
        yield host


@pytest.fixture(scope="session")
def agent_file() -> Path:
    """The agent as one file, for this machine."""
    return built_agent()
