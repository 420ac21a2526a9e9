"""`doctor` and `status` as programs: beside an agent that runs, and on a machine where much is broken."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.docker.conftest import SLEEPER
from tests.support.agent_process import TOKEN, AgentProcess
from tests.support.control_plane import AgentPeer, ControlPlane

PATIENCE_S = 60.0
AT_MOST_S = 30.0
"""Checks have 5 s, of which some go one after the other; and Python has to start on a busy machine."""


async def look(
    home: Path, command: str, *arguments: str, **settings: str
) -> tuple[int, Mapping[str, Any], str]:
    """Its exit code, what it printed as JSON, and all that it printed."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AGENT_PROJECTS_DIR": str(home / "projects"),
        "AGENT_STATE_DIR": str(home / "state"),
        "AGENT_SECRET_TOKEN": TOKEN,
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "entrypoints.agent", command, "--json", *arguments),
        env=environment,
        cwd=home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert TOKEN.encode() not in out + err
    assert process.returncode is not None
    document = json.loads(out) if out else {}
    return process.returncode, document, err.decode()


def verdicts(document: Mapping[str, Any]) -> dict[str, str]:
    return {one["check"]: one["verdict"] for one in document["checks"]}


def findings(document: Mapping[str, Any], check: str) -> str:
    (found,) = [one for one in document["checks"] if one["check"] == check]
    return " | ".join(f"{one['found']}; {one['remedy']}" for one in found["findings"])


async def test_status_beside_an_agent_that_runs(
    peer: AgentPeer,
    agent: AgentProcess,
    control_plane: ControlPlane,
    project_name: str,
    tmp_path: Path,
) -> None:
    deployed = await peer.deploy(project_name, SLEEPER)
    assert deployed["status"] == "COMPLETED", deployed
    code, found, err = await look(tmp_path, "status", SERVER_URL=control_plane.url)
    assert (code, err) == (0, "")
    assert found["pid"] == agent.pid
    assert found["control_plane"] == control_plane.url
    assert found["projects"] == [
        {"name": project_name, "revision": 1, "state": "good", "running": 1, "total": 1}
    ]
    (job,) = found["jobs"]
    assert (job["command"], job["state"]) == ("DEPLOY_COMPOSE", "succeeded")
    assert found["engine"]["version"]
    assert found["compose"]
    assert set(found["disks"]) == {"state", "projects"}
    assert (await peer.stop(project_name))["status"] == "COMPLETED"  # It was not disturbed.


async def test_doctor_beside_an_agent_that_runs(
    peer: AgentPeer, control_plane: ControlPlane, tmp_path: Path
) -> None:
    assert peer is not None
    url = control_plane.url
    code, found, _ = await look(tmp_path, "doctor", "--idle", "1", SERVER_URL=url)
    said = verdicts(found)
    assert code == 0, found
    for check in ("Python", "settings", "policy", "engine", "engine socket", "DNS", "TCP"):
        assert said[check] == "ok", findings(found, check)
    assert said["TLS"] == "warning"
    assert said["WebSocket"] == said["clock"] == said["open files"] == "ok"
    assert said["disk of the engine"] in ("ok", "warning")
    assert said["idle"] in ("ok", "warning")


@pytest.fixture
def silent_engine(tmp_path: Path) -> Iterator[str]:
    """A socket that takes connections, and a docker command that hangs."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(100)
        yield f"unix://{path}"


async def test_what_hangs_holds_up_neither(silent_engine: str, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text("#!/bin/sh\nexec sleep 600\n")
    docker.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {
            "SERVER_URL": f"wss://127.0.0.1:{silent.getsockname()[1]}/ws",
            "AGENT_DOCKER_HOST": silent_engine,
            "PATH": f"{programs}:{os.environ['PATH']}",
        }
        began = asyncio.get_running_loop().time()
        code, found, err = await look(tmp_path, "doctor", **settings)
        assert asyncio.get_running_loop().time() - began < AT_MOST_S
        assert (code, err) == (1, "")
        said = verdicts(found)
        assert said["engine"] == said["Compose"] == said["TLS"] == "failure"
        assert said["TCP"] == said["Python"] == "ok"
        code, report, err = await look(tmp_path, "status", **settings)
        assert asyncio.get_running_loop().time() - began < 2 * AT_MOST_S
    assert (code, err) == (0, "")
    assert {"engine", "Compose", "containers"} <= set(report["unsaid"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that are root's")
async def test_a_policy_that_anybody_can_write_is_a_failure(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('preset = "strict"\n')
    policy.chmod(0o666)
    settings = {"SERVER_URL": "wss://cp.invalid/ws", "AGENT_POLICY_FILE": str(policy)}
    code, found, _ = await look(tmp_path, "doctor", **settings)
    assert code == 1
    assert verdicts(found)["policy"] == "failure"
    _, report, _ = await look(tmp_path, "status", **settings)
    assert "policy" in report["unsaid"]


async def test_settings_that_are_wrong_are_findings_and_the_rest_is_looked_at(
    tmp_path: Path,
) -> None:
    code, found, _ = await look(tmp_path, "doctor", AGENT_HTTP_PORT="x", AGENT_POLICY="y")
    assert code == 1
    said = findings(found, "settings")
    assert "AGENT_HTTP_PORT: must be a whole number" in said
    assert "SERVER_URL: is missing" in said
    assert "AGENT_POLICY is no setting" in said
    assert verdicts(found)["engine"] == "ok"


async def test_a_wrong_option_is_wrong_usage(tmp_path: Path) -> None:
    for arguments in (["doctor", "--idle", "0"], ["doctor", "--idle", "x"], ["status", "--no"]):
        code, found, err = await look(tmp_path, *arguments)
        assert (code, found) == (2, {})
        assert "usage: instadeploy-agent" in err
