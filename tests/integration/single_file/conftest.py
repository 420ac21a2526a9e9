"""One build of this machine's single file, for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.agent_file import built_agent


@pytest.fixture(scope="session")
def agent_file() -> Path:
    return built_agent()
