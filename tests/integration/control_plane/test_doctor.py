"""What `instadeploy-agent doctor` says of the way to a control plane that is as it should be."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.support.control_plane_process import running_control_plane
from tests.support.private_authority import certified

PATIENCE_S = 60.0
NETWORK = ("proxy", "DNS", "TCP", "TLS", "WebSocket", "clock", "idle")


async def test_nothing_is_wrong_with_the_way_to_it(tmp_path: Path) -> None:
    async with running_control_plane(tmp_path, settings=certified(tmp_path)) as control_plane:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "SERVER_URL": control_plane.agents_url,
            "AGENT_CA_FILE": str(tmp_path / "ca.pem"),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", "entrypoints.agent", "doctor", "--json", "--idle", "1"),
            cwd=tmp_path,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE_S):
            printed, _ = await process.communicate()
    found = {one["check"]: one for one in json.loads(printed)["checks"]}
    assert {name: found[name]["verdict"] for name in NETWORK} == dict.fromkeys(NETWORK, "ok"), found
    assert "answered HTTP 101" in found["WebSocket"]["findings"][0]["found"]
