"""Engines and tools that are down, hang, are missing or too old.

Each on a private engine or with programs of the test's own: never on the engine that others use.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.docker.conftest import SLEEPER
from tests.integration.docker.private_engine import PrivateEngine
from tests.support.agent_process import running_agent
from tests.support.control_plane import AgentPeer, ControlPlane


@pytest.fixture
async def faulty_peer(
    tmp_path: Path, engine: PrivateEngine, control_plane: ControlPlane
) -> AsyncIterator[AgentPeer]:
    settings = {"AGENT_DOCKER_HOST": engine.address, "AGENT_STATUS_TIMEOUT": "2"}
    settings |= {
        "AGENT_ENGINE_TIMEOUT": "1",
        "AGENT_SETTLE_TIME": "0.3",
    }
    async with running_agent(tmp_path, server_url=control_plane.url, settings=settings):
        yield await control_plane.agent()


async def test_an_engine_that_goes_down_and_comes_back(
    faulty_peer: AgentPeer, engine: PrivateEngine, tmp_path: Path
) -> None:
    peer = faulty_peer
    assert (await peer.deploy("app", SLEEPER))["status"] == "COMPLETED"
    engine.kill()

    changed = SLEEPER.replace("3600", "7200")
    refused = await peer.deploy("app", changed)
    assert refused["status"] == "FAILED"
    assert refused["error"].startswith(f"Docker Engine does not answer at {engine.address}: ")
    assert "start Docker Engine" in refused["error"]
    assert refused["data"] == {"reason": "runtime_unavailable"}
    written = tmp_path / "projects" / "app" / "docker-compose.yml"
    assert written.read_text(encoding="utf-8") == SLEEPER

    status = await peer.status("app")
    assert status["status"] == "FAILED"
    assert status["error"].startswith("Docker Engine does not answer at ")
    assert status["data"] == {"reason": "runtime_unavailable"}
    assert (await peer.stop("app"))["status"] == "FAILED"
    health = await peer.health()
    assert health["status"] == "COMPLETED"
    first, second, _policy = health["logs"].splitlines()
    assert first == "Agent is healthy and operational"
    assert second.startswith("Docker Engine does not answer at ")
    assert health["data"]["engine"]["reachable"] is False
    assert health["data"]["compose"]["available"] is True

    engine.start_again()
    assert (await peer.deploy("app", changed))["status"] == "COMPLETED"
    assert written.read_text(encoding="utf-8") == changed
    (service,) = (await peer.status("app"))["data"]["services"]
    assert service["state"] == "running"


async def test_an_engine_that_hangs_is_given_up_on_in_time(
    faulty_peer: AgentPeer, engine: PrivateEngine, tmp_path: Path
) -> None:
    peer = faulty_peer
    assert (await peer.deploy("app", SLEEPER))["status"] == "COMPLETED"
    engine.process.send_signal(signal.SIGSTOP)
    refused = await peer.deploy("app", SLEEPER.replace("3600", "7200"))
    assert refused["status"] == "FAILED"
    assert "it hangs or is overloaded" in refused["error"]
    assert "7200" not in (tmp_path / "projects/app/docker-compose.yml").read_text(encoding="utf-8")
    status = await peer.status("app")
    assert "took longer than 2 s and was ended" in status["error"]
    assert "how the project is cannot be said" in status["error"]
    assert status["data"] == {"reason": "deadline"}
    engine.process.send_signal(signal.SIGCONT)
    assert (await peer.status("app"))["status"] == "COMPLETED"


def programs(directory: Path, **scripts: str) -> str:
    """A PATH on which `docker` is what the test says, and nothing but the basic tools beside it."""
    directory.mkdir()
    for name in ("env", "sh", "sleep", "cat"):
        found = shutil.which(name)
        assert found is not None
        (directory / name).symlink_to(found)
    for name, script in scripts.items():
        program = directory / name
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        program.chmod(0o755)
    return str(directory)


async def ask_with(
    tmp_path: Path, plane: ControlPlane, settings: dict[str, str]
) -> tuple[str, str]:
    """What a deployment and a health check say with these settings; nothing may be written."""
    async with running_agent(tmp_path, server_url=plane.url, settings=settings):
        peer = await plane.agent()
        failed = await peer.deploy("app", SLEEPER)
        assert failed["status"] == "FAILED"
        assert not (tmp_path / "projects" / "app").exists()
        health = await peer.health()
        assert health["status"] == "COMPLETED"
        return failed["error"], health["logs"]


async def test_no_docker_program(tmp_path: Path, control_plane: ControlPlane) -> None:
    path = programs(tmp_path / "bin")
    error, health = await ask_with(tmp_path, control_plane, {"PATH": path})
    assert error == "there is no program 'docker' on this host's PATH; install Docker"
    assert health.splitlines()[1] == error


async def test_no_compose_plugin(tmp_path: Path, control_plane: ControlPlane) -> None:
    says = "docker: 'compose' is not a docker command."
    path = programs(tmp_path / "bin", docker=f'echo "{says}" >&2; exit 1')
    error, health = await ask_with(tmp_path, control_plane, {"PATH": path})
    assert "'docker compose version' failed: docker: 'compose' is not a docker command." in error
    assert "install Docker Compose v2.20 or newer" in error
    assert error in health


async def test_a_compose_that_is_too_old(tmp_path: Path, control_plane: ControlPlane) -> None:
    path = programs(tmp_path / "bin", docker="echo 2.19.1")
    error, _ = await ask_with(tmp_path, control_plane, {"PATH": path})
    assert error.startswith("Docker Compose 2.19.1 is too old; install Docker Compose v2.20")


async def test_a_docker_that_hangs(tmp_path: Path, control_plane: ControlPlane) -> None:
    path = programs(tmp_path / "bin", docker="sleep 1000 & sleep 1000")
    settings = {"PATH": path, "AGENT_CHECK_TIMEOUT": "1", "AGENT_HEALTH_TIMEOUT": "1"}
    error, health = await ask_with(tmp_path, control_plane, settings)
    assert error == (
        "asking Docker Compose for its version took longer than 1 s and was ended; "
        "nothing was changed"
    )
    assert "asking Docker Compose for its version took longer than 1 s" in health
