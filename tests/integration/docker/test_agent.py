"""The four commands through a real agent, on a real engine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.docker.conftest import IMAGE, SLEEPER, take_down
from tests.support.agent_process import TOKEN, AgentProcess, running_agent
from tests.support.control_plane import AgentPeer, ControlPlane, deploy_payload


def inspect(container: str) -> dict[str, Any]:
    found = subprocess.run(
        ["docker", "inspect", container], capture_output=True, text=True, check=True
    )
    (entry,) = json.loads(found.stdout)
    assert isinstance(entry, dict)
    return entry


def engine_version() -> str:
    found = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()


def containers_of(project: str) -> list[str]:
    found = subprocess.run(
        [
            *("docker", "ps", "--all", "--format", "{{.Names}}"),
            *("--filter", f"label=com.docker.compose.project={project}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(found.stdout.split())


async def test_a_project_is_deployed_reported_and_stopped(
    peer: AgentPeer, project_name: str, tmp_path: Path
) -> None:
    deployed = await peer.deploy(project_name, SLEEPER)
    assert deployed["status"] == "COMPLETED", deployed
    assert deployed["logs"].startswith(
        f"Project '{project_name}' deployed successfully.\n\nOutput:\n"
    )
    assert f"Container {project_name}-main-1  Started" in deployed["logs"]
    assert inspect(f"{project_name}-main-1")["State"]["Running"] is True
    written = tmp_path / "projects" / project_name / "docker-compose.yml"
    assert written.read_text(encoding="utf-8") == SLEEPER
    assert oct(written.stat().st_mode & 0o7777) == "0o644"
    assert [entry.name for entry in written.parent.iterdir()] == ["docker-compose.yml"]

    status = await peer.status(project_name)
    assert status["logs"].startswith(f"Project '{project_name}': 1 of 1 containers running.")
    data = status["data"]
    assert (data["project_name"], data["exists"]) == (project_name, True)
    assert data["services"] == [
        {
            "service": "main",
            "container": f"{project_name}-main-1",
            "state": "running",
            "health": "",
            "image": IMAGE,
            "published_ports": [],
            "exit_code": None,
        }
    ]
    assert (data["wanted"]["revision"], data["wanted"]["state"]) == (1, "good")
    assert data["journal"]["job_id"] == deployed["job_id"]
    assert [one["container"] for one in data["engine"]] == [f"{project_name}-main-1"]
    assert data["drift"] == []

    stopped = await peer.stop(project_name)
    assert stopped["status"] == "COMPLETED", stopped
    assert stopped["logs"].startswith(
        f"Project '{project_name}' stopped successfully.\n\nOutput:\n"
    )
    assert containers_of(project_name) == []
    status = await peer.status(project_name)
    assert status["logs"] == f"Project '{project_name}' has no containers: it is stopped."
    assert (await peer.stop(project_name))["status"] == "COMPLETED"


async def test_status_tells_health_ports_and_exit_codes(peer: AgentPeer, project_name: str) -> None:
    compose = f"""
services:
  web:
    image: {IMAGE}
    command: ["sleep", "3600"]
    init: true
    stop_grace_period: 0s
    ports: ["127.0.0.1::80"]
    healthcheck: {{test: ["CMD", "true"], interval: 1s, start_period: 0s}}
  once:
    image: {IMAGE}
    command: ["sh", "-c", "exit 3"]
    network_mode: none
  after:
    image: {IMAGE}
    command: ["sleep", "3600"]
    init: true
    stop_grace_period: 0s
    network_mode: none
    depends_on: {{web: {{condition: service_healthy}}}}
"""
    # What exits with 3 has failed, and is left as it is.
    payload = {**deploy_payload(project_name, compose), "auto_rollback": False}
    failed = await peer.ask("DEPLOY_COMPOSE", payload)
    assert failed["data"]["reason"] == "unhealthy", failed
    services = (await peer.status(project_name))["data"]["services"]
    assert [service["service"] for service in services] == ["after", "once", "web"]
    after, once, web = services
    assert (after["state"], after["health"]) == ("running", "")
    assert (once["state"], once["exit_code"]) == ("exited", 3)
    assert (web["state"], web["health"]) == ("running", "healthy")
    (port,) = web["published_ports"]
    assert port["host_address"] == "127.0.0.1"
    assert port["host_port"] > 0
    assert (port["container_port"], port["protocol"]) == (80, "tcp")


async def test_deploying_the_same_again_changes_nothing(peer: AgentPeer, project_name: str) -> None:
    await peer.deploy(project_name, SLEEPER)
    before = inspect(f"{project_name}-main-1")["Id"]
    again = await peer.deploy(project_name, SLEEPER)
    assert again["status"] == "COMPLETED"
    assert inspect(f"{project_name}-main-1")["Id"] == before


async def test_a_file_that_compose_rejects_changes_nothing(
    peer: AgentPeer, project_name: str, tmp_path: Path
) -> None:
    await peer.deploy(project_name, SLEEPER)
    before = inspect(f"{project_name}-main-1")["Id"]
    failed = await peer.deploy(project_name, "services: {main: {image: x, bogus: 1}}")
    assert failed["status"] == "FAILED"
    assert failed["error"].startswith(
        "docker compose config failed with exit code 15; nothing was changed: "
    )
    assert "bogus" in failed["error"]
    directory = tmp_path / "projects" / project_name
    assert (directory / "docker-compose.yml").read_text(encoding="utf-8") == SLEEPER
    assert len(list(directory.iterdir())) == 1
    assert inspect(f"{project_name}-main-1")["Id"] == before


async def test_a_first_deployment_that_is_rejected_leaves_no_directory(
    peer: AgentPeer, project_name: str, tmp_path: Path
) -> None:
    failed = await peer.deploy(project_name, "services: {main: {}}")
    assert failed["status"] == "FAILED"
    assert not (tmp_path / "projects" / project_name).exists()


async def test_an_image_that_is_nowhere_fails_the_deployment(
    peer: AgentPeer, project_name: str, tmp_path: Path
) -> None:
    image = "127.0.0.1:9/instadeploy/nowhere:1"
    failed = await peer.deploy(project_name, f"services: {{main: {{image: '{image}'}}}}")
    assert failed["status"] == "FAILED"
    assert failed["error"].startswith("docker compose pull failed with exit code ")
    assert "nothing was changed" in failed["error"]
    assert failed["data"]["reason"] == "pull_failed"
    assert not (tmp_path / "projects" / project_name).exists()


async def test_a_project_keeps_its_capitals_and_compose_gets_none(
    peer: AgentPeer, project_name: str, tmp_path: Path
) -> None:
    name = project_name.upper()
    assert (await peer.deploy(name, SLEEPER))["status"] == "COMPLETED"
    assert (tmp_path / "projects" / name / "docker-compose.yml").exists()
    assert containers_of(project_name.lower()) == [f"{project_name.lower()}-main-1"]
    for refused in (await peer.deploy(project_name, SLEEPER), await peer.stop(project_name)):
        assert refused["status"] == "FAILED"
        assert refused["data"] == {"reason": "conflict"}
        assert f"the existing project '{name}'" in refused["error"]
    assert (await peer.stop(name))["status"] == "COMPLETED"


async def test_a_name_in_the_file_cannot_take_over_another_project(
    peer: AgentPeer, project_name: str
) -> None:
    other = f"{project_name}-other"
    try:
        await peer.deploy(other, SLEEPER)
        before = inspect(f"{other}-main-1")["Id"]
        stolen = SLEEPER.replace("3600", "7200")
        assert (await peer.deploy(project_name, f"name: {other}\n{stolen}"))[
            "status"
        ] == "COMPLETED"
        assert inspect(f"{other}-main-1")["Id"] == before
        assert containers_of(project_name) == [f"{project_name}-main-1"]
    finally:
        take_down(other)


async def test_a_stray_compose_file_beside_ours_does_not_win(
    peer: AgentPeer, project_name: str, tmp_path: Path
) -> None:
    directory = tmp_path / "projects" / project_name
    directory.mkdir(parents=True)
    (directory / "compose.yaml").write_text("services: {stray: {image: none}}", encoding="utf-8")
    (directory / "docker-compose.override.yml").write_text("nonsense", encoding="utf-8")
    assert (await peer.deploy(project_name, SLEEPER))["status"] == "COMPLETED"
    assert containers_of(project_name) == [f"{project_name}-main-1"]


async def test_the_agents_own_environment_never_reaches_a_container(
    peer: AgentPeer, project_name: str, agent: AgentProcess
) -> None:
    variables = ["AGENT_SECRET_TOKEN", "SERVER_URL", "AGENT_STATE_DIR"]
    lines = "".join(f'      V_{name}: "${{{name}}}"\n' for name in variables)
    compose = SLEEPER + "    environment:\n" + lines
    assert (await peer.deploy(project_name, compose))["status"] == "COMPLETED"
    environment = inspect(f"{project_name}-main-1")["Config"]["Env"]
    assert {entry for entry in environment if entry.startswith("V_")} == {
        f"V_{name}=" for name in variables
    }
    assert TOKEN not in agent.log()


async def test_nothing_of_a_value_is_read_by_a_shell(
    peer: AgentPeer, project_name: str, tmp_path: Path
) -> None:
    marker = tmp_path / "pwned"
    value = f"$$(touch {marker}); `touch {marker}` | touch {marker} && touch {marker}"
    compose = SLEEPER + f"    environment: {json.dumps({'KEY': value})}\n"
    assert (await peer.deploy(project_name, compose))["status"] == "COMPLETED"
    assert f"KEY={value.replace('$$', '$')}" in inspect(f"{project_name}-main-1")["Config"]["Env"]
    assert not marker.exists()


async def test_projects_run_at_the_same_time_and_one_after_another_within(
    peer: AgentPeer, project_name: str, tmp_path: Path
) -> None:
    """A second project is done while the first, whose health check waits for it, is not."""
    gate = tmp_path / "gate"
    gate.mkdir()
    waits = f"""
services:
  gate:
    image: {IMAGE}
    command: ["sh", "-c", "sleep 3600"]
    init: true
    stop_grace_period: 0s
    network_mode: none
    volumes: ["{tmp_path}/gate:/gate:ro"]
    healthcheck:
      {{test: ["CMD", "busybox", "test", "-e", "/gate/open"], interval: 200ms, retries: 1000}}
  main:
    image: {IMAGE}
    command: ["sleep", "3600"]
    init: true
    stop_grace_period: 0s
    network_mode: none
    depends_on: {{gate: {{condition: service_healthy}}}}
"""
    other = f"{project_name}-other"
    try:
        slow = await peer.start("DEPLOY_COMPOSE", deploy_payload(project_name, waits))
        assert (await peer.receive())["status"] == "IN_PROGRESS"
        behind = await peer.start("STATUS", {"project_name": project_name})
        assert (await peer.receive())["job_id"] == behind
        assert (await peer.deploy(other, SLEEPER))["status"] == "COMPLETED"
        (gate / "open").touch()
        first, second = await peer.receive(), await peer.receive()
        assert [first["job_id"], second["job_id"]] == [slow, behind]
        assert first["status"] == "COMPLETED", first
        assert len(second["data"]["services"]) == 2
    finally:
        take_down(other)


async def test_an_unknown_project(peer: AgentPeer, project_name: str) -> None:
    status = await peer.status(project_name)
    assert status["status"] == "COMPLETED"
    assert status["logs"] == f"project '{project_name}' does not exist on this host"
    assert status["data"] == {
        "project_name": project_name,
        "exists": False,
        "services": [],
        "wanted": None,
        "journal": None,
        "engine": [],
        "drift": [],
    }
    stopped = await peer.stop(project_name)
    assert stopped["status"] == "FAILED"
    assert stopped["error"] == f"project '{project_name}' does not exist on this host"


async def test_health_tells_of_agent_engine_and_compose(peer: AgentPeer) -> None:
    health = await peer.health()
    healthy, warning = health["logs"].splitlines()
    assert healthy == "Agent is healthy and operational"
    assert warning.startswith("the host's policy (permissive) lets whoever commands this agent")
    data = health["data"]
    assert data["policy"]["name"] == "permissive"
    assert data["version"] == peer.headers["X-Agent-Version"] == "1.0.0"
    assert data["architecture"] == peer.headers["X-Agent-Architecture"]
    assert data["hostname"] == peer.headers["X-Agent-Hostname"] == os.uname().nodename
    assert data["engine"]["reachable"] is True
    assert data["compose"]["available"] is True
    assert data["engine"]["version"] == engine_version()
    assert data["engine"]["checked_at"].endswith("+00:00")
    assert data["uptime_s"] > 0


async def test_a_stop_by_signal_leaves_a_running_deployment_alone_and_the_next_start_tells_it(
    control_plane: ControlPlane, project_name: str, tmp_path: Path
) -> None:
    async with running_agent(tmp_path, server_url=control_plane.url) as agent:
        peer = await control_plane.agent()
        job_id = await peer.start("DEPLOY_COMPOSE", deploy_payload(project_name, SLEEPER))
        assert (await peer.receive())["status"] == "IN_PROGRESS"
        assert await agent.stop() == 0
        await peer.over.wait()
        assert peer.connection.close_code == 1001
    async with running_agent(tmp_path, server_url=control_plane.url):
        final = await (await control_plane.agent()).receive()
    assert (final["job_id"], final["status"]) == (job_id, "COMPLETED")
    assert containers_of(project_name) == [f"{project_name}-main-1"]


async def test_the_token_is_in_no_log_and_no_process_list(
    peer: AgentPeer, agent: AgentProcess, project_name: str
) -> None:
    await peer.deploy(project_name, SLEEPER)
    await peer.send(json.dumps({"id": f"x\n{TOKEN[:4]} forged line", "type": "HEALTH_CHECK"}))
    assert (await peer.receive())["status"] == "IN_PROGRESS"
    refused = await peer.receive()
    assert refused["error"] == "id: must not contain control characters or line breaks"
    assert peer.headers["Authorization"] == f"Bearer {TOKEN}"
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert TOKEN.encode() not in process.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
    assert await agent.stop() == 0
    log = agent.log()
    assert TOKEN not in log
    assert "sleep" not in log
    assert not [line for line in log.splitlines() if line.startswith(TOKEN[:4])]


@pytest.mark.parametrize("private", ["0", "1"])
async def test_the_modes_of_what_is_written(
    private: str, tmp_path: Path, project_name: str
) -> None:

    async with ControlPlane() as plane:
        settings = {"AGENT_PRIVATE_PROJECTS": private}
        async with running_agent(tmp_path, server_url=plane.url, settings=settings):
            peer = await plane.agent()
            assert (await peer.deploy(project_name, SLEEPER))["status"] == "COMPLETED"
    directory = tmp_path / "projects" / project_name
    modes = [directory.stat().st_mode & 0o777]
    modes.append((directory / "docker-compose.yml").stat().st_mode & 0o777)
    assert modes == ([0o700, 0o600] if private == "1" else [0o755, 0o644])
