"""The agent's file for 64-bit ARM, on a Debian of that kind, under QEMU: `make test-arm64`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.agent_process import running_agent
from tests.support.control_plane import AgentPeer, Listening

ROOT = Path(__file__).parents[3]
FOREIGN_ROOT = os.environ.get("ARM64_ROOT")
STARTED_WITHIN_S = 300.0
"""Emulated, the first start takes half a minute on a machine that does nothing else."""

pytestmark = pytest.mark.thorough


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with the file, as `agent`."""
    assert FOREIGN_ROOT, "run this test with 'make test-arm64'"
    build = [sys.executable, "-m", "deploy.build", "linux-arm64", "--into", str(tmp_path / "bin")]
    subprocess.run(build, cwd=ROOT, check=True)
    (tmp_path / "home").mkdir()
    shutil.copy(tmp_path / "bin" / "agent-linux-arm64", tmp_path / "home" / "agent")
    return tmp_path / "home"


async def test_it_connects_and_says_that_it_is_well(home: Path) -> None:
    program = [str(ROOT / "deploy" / "run-foreign.sh"), str(FOREIGN_ROOT), str(home), "/mnt/agent"]
    inside = {
        "HOME": "/mnt",
        "AGENT_PROJECTS_DIR": "/mnt/projects",
        "AGENT_STATE_DIR": "/mnt/state",
    }
    async with (
        Listening(AgentPeer, patience_s=STARTED_WITHIN_S) as control_plane,
        running_agent(
            home, server_url=control_plane.url, settings=inside, program=program
        ) as agent,
    ):
        peer = await control_plane.agent()
        assert peer.headers["X-Agent-Architecture"] == "linux-arm64"
        health = await peer.health()
        assert health["data"]["architecture"] == "linux-arm64", health
        assert await agent.stop() == 0
