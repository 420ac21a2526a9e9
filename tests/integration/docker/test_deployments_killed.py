"""The agent is killed where no step of Compose would go on without it, and the job ends right."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.docker.driver import checked, docker, running, runs, until
from tests.support.agent_process import running_agent
from tests.support.control_plane import AgentPeer, ControlPlane, deploy_payload

SETTINGS = {"AGENT_SETTLE_TIME": "0.3"}


class Gate:
    """A file that a service's health check looks for."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._file = directory / "open"
        self.web = checked("test -e /gate/open", volumes=[f"{directory}:/gate:ro"])
        self.web["healthcheck"] |= {"start_period": "1h"}

    def open(self) -> None:
        self._file.touch()

    def close(self) -> None:
        self._file.unlink()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


def payload(name: str, web: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**deploy_payload(name, json.dumps({"services": {"web": web}})), **more}


async def begin(peer: AgentPeer, command: str, given: object) -> str:
    job_id = await peer.start(command, given)
    assert (await peer.receive())["status"] == "IN_PROGRESS"
    return job_id


async def waits(name: str) -> None:
    """Wait until the container of the gate is looked at, and no Compose is at work any more."""

    def is_so() -> bool:
        if not running(name):
            return False
        said = docker("inspect", "--format", "{{json .State.Health}}", f"{name}-web-1")
        lines = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
        is_busy = any(name in line and "up" in line for line in lines)
        return said != "null" and json.loads(said)["Status"] == "starting" and not is_busy

    await until(is_so, "a container whose health is waited for")


async def test_while_it_waits_for_health(
    control_plane: ControlPlane, project_name: str, tmp_path: Path, gate: Gate
) -> None:
    name = project_name
    async with running_agent(tmp_path, server_url=control_plane.url, settings=SETTINGS) as agent:
        peer = await control_plane.agent()
        given = payload(name, gate.web, env={"A": "1"})
        job_id = await begin(peer, "DEPLOY_COMPOSE", given)
        await waits(name)
        await agent.stop(signal.SIGKILL)
    before = running(name)
    async with running_agent(tmp_path, server_url=control_plane.url, settings=SETTINGS):
        peer = await control_plane.agent()
        gate.open()
        final = await peer.receive()
        assert (final["job_id"], final["status"]) == (job_id, "COMPLETED"), final
        assert running(name) == before
        status = (await peer.status(name))["data"]
        assert (status["wanted"]["revision"], status["drift"]) == (1, [])
        assert status["wanted"]["job_id"] == job_id


async def test_while_it_waits_in_vain(
    control_plane: ControlPlane, project_name: str, tmp_path: Path, gate: Gate
) -> None:
    name = project_name
    async with running_agent(tmp_path, server_url=control_plane.url, settings=SETTINGS) as agent:
        peer = await control_plane.agent()
        done = await peer.ask("DEPLOY_COMPOSE", payload(name, runs()))
        assert done["status"] == "COMPLETED", done
        job_id = await begin(peer, "DEPLOY_COMPOSE", payload(name, gate.web, wait_timeout_s=2))
        await waits(name)
        await agent.stop(signal.SIGKILL)
    async with running_agent(tmp_path, server_url=control_plane.url, settings=SETTINGS):
        peer = await control_plane.agent()
        final = await peer.receive()
        assert (final["job_id"], final["status"]) == (job_id, "FAILED"), final
        assert final["data"]["reason"] == "unhealthy"
        assert final["data"]["rolled_back_to"] == 1
        status = (await peer.status(name))["data"]
        assert (status["wanted"]["revision"], status["drift"]) == (1, [])


@pytest.mark.parametrize("times", [1, 2])
async def test_while_it_goes_back(
    control_plane: ControlPlane, project_name: str, tmp_path: Path, gate: Gate, times: int
) -> None:
    name = project_name
    gate.open()
    async with running_agent(tmp_path, server_url=control_plane.url, settings=SETTINGS) as agent:
        peer = await control_plane.agent()
        done = await peer.ask("DEPLOY_COMPOSE", payload(name, gate.web))
        assert done["status"] == "COMPLETED", done
        gate.close()
        job_id = await begin(peer, "DEPLOY_COMPOSE", payload(name, runs("exit 3")))
        await waits(name)
        await agent.stop(signal.SIGKILL)
    for _ in range(times - 1):
        async with running_agent(
            tmp_path, server_url=control_plane.url, settings=SETTINGS
        ) as agent:
            await control_plane.agent()
            await agent.stop(signal.SIGKILL)
    before = running(name)
    async with running_agent(tmp_path, server_url=control_plane.url, settings=SETTINGS):
        peer = await control_plane.agent()
        gate.open()
        final = await peer.receive()
        assert (final["job_id"], final["status"]) == (job_id, "FAILED"), final
        assert final["data"]["rolled_back_to"] == 1
        assert "exited with code 3" in final["error"]
        assert running(name) == before
        status = (await peer.status(name))["data"]
        assert (status["wanted"]["revision"], status["drift"]) == (1, [])


async def test_while_it_rolls_back_as_it_was_asked_to(
    control_plane: ControlPlane, project_name: str, tmp_path: Path, gate: Gate
) -> None:
    name = project_name
    gate.open()
    async with running_agent(tmp_path, server_url=control_plane.url, settings=SETTINGS) as agent:
        peer = await control_plane.agent()
        for web in (gate.web, runs()):
            done = await peer.ask("DEPLOY_COMPOSE", payload(name, web))
            assert done["status"] == "COMPLETED", done
        gate.close()
        job_id = await begin(peer, "ROLLBACK_COMPOSE", {"project_name": name})
        await waits(name)
        await agent.stop(signal.SIGKILL)
    async with running_agent(tmp_path, server_url=control_plane.url, settings=SETTINGS):
        peer = await control_plane.agent()
        gate.open()
        final = await peer.receive()
        assert (final["job_id"], final["status"]) == (job_id, "COMPLETED"), final
        assert final["data"]["revision"] == 1
        status = (await peer.status(name))["data"]
        assert (status["wanted"]["revision"], status["drift"]) == (1, [])
