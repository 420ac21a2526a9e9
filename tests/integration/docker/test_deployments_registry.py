"""Images from a registry that wants to know who asks, through a real agent.

What is private is looked for where it must not be: in process lists, logs, results, and on the disk
once the job is over.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.docker.driver import checked, docker, running, runs, until
from tests.support.agent_process import AgentProcess, running_agent
from tests.support.control_plane import AgentPeer, ControlPlane, deploy_payload
from tests.support.registry import Registry, running_registry

PASSWORD = "pass-word-of-ann"
SECRET = "value-of-a-secret-variable"
SETTINGS = {"AGENT_SETTLE_TIME": "0.3"}


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """What every docker program that the agent starts is given, on its command line and beside."""
    tools = tmp_path / "tools"
    tools.mkdir()
    record = tmp_path / "recorded"
    record.touch()
    real = shutil.which("docker")
    shim = tools / "docker"
    shim.write_text(
        f'#!/bin/sh\n{{ printf "%s " "$@"; echo; env; }} >>{record}\nexec {real} "$@"\n',
        encoding="ascii",
    )
    shim.chmod(0o755)
    return record


@pytest.fixture
async def agent(
    tmp_path: Path, control_plane: ControlPlane, recorded: Path
) -> AsyncIterator[AgentProcess]:
    settings = {**SETTINGS, "PATH": f"{recorded.parent}/tools:{os.environ['PATH']}"}
    async with running_agent(tmp_path, server_url=control_plane.url, settings=settings) as process:
        yield process


async def deploy(
    peer: AgentPeer, name: str, services: object, auth: dict[str, tuple[str, str]], **more: Any
) -> dict[str, Any]:
    return await peer.ask("DEPLOY_COMPOSE", payload(name, services, auth, **more))


def payload(
    name: str, services: object, auth: dict[str, tuple[str, str]], **more: Any
) -> dict[str, Any]:
    logins = {
        registry: {"username": user, "password": password}
        for registry, (user, password) in auth.items()
    }
    compose = json.dumps({"services": services})
    return {**deploy_payload(name, compose), "registry_auth": logins, **more}


def holding(text: str, directory: Path) -> list[str]:
    """The files below a directory that hold a text, as it is or in base64."""
    marks = [text.encode()]
    marks += [base64.b64encode(f"{user}:{text}".encode()) for user in ("ann", "host")]
    return [
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and any(mark in path.read_bytes() for mark in marks)
    ]


async def test_with_the_right_password_it_is_pulled_and_nothing_private_is_left(
    peer: AgentPeer,
    agent: AgentProcess,
    registry: Registry,
    image: str,
    project_name: str,
    tmp_path: Path,
    recorded: Path,
) -> None:
    web = runs(image=image, environment={"KEY": "${KEY}"})
    done = await deploy(
        peer,
        project_name,
        {"web": web},
        {registry.name: ("ann", PASSWORD)},
        env={"KEY": SECRET},
    )
    assert done["status"] == "COMPLETED", done
    assert [one["step"] for one in done["data"]["steps"]] == [
        *("validate", "policy", "login", "pull", "apply", "wait", "verify", "record")
    ]
    environment = docker("inspect", "--format", "{{json .Config.Env}}", f"{project_name}-web-1")
    assert f"KEY={SECRET}" in json.loads(environment)
    await until(lambda: holding(PASSWORD, tmp_path / "state") == [], "the credentials' end")
    assert not list((tmp_path / "state" / "logins").glob("*"))
    assert await agent.stop() == 0
    for private in (PASSWORD, SECRET):
        assert private not in json.dumps(done)
        assert private not in agent.log()
        assert private not in recorded.read_text(encoding="utf-8")
    encoded = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    assert encoded not in recorded.read_text(encoding="utf-8")
    assert f"login {registry.name}" in recorded.read_text(encoding="utf-8")


@pytest.mark.parametrize("auth", ["wrong", "none"])
async def test_without_it_nothing_is_touched(
    peer: AgentPeer,
    registry: Registry,
    image: str,
    project_name: str,
    tmp_path: Path,
    auth: str,
) -> None:
    assert (await deploy(peer, project_name, {"web": runs()}, {}))["status"] == "COMPLETED"
    before = running(project_name)
    given = {registry.name: ("ann", "not-her-word")} if auth == "wrong" else {}
    failed = await deploy(peer, project_name, {"web": runs(image=image)}, given)
    assert failed["status"] == "FAILED"
    if auth == "wrong":
        assert failed["data"]["reason"] == "registry_login_failed"
        assert failed["data"]["registry"] == registry.name
        assert f"{registry.name} does not accept these credentials" in failed["error"]
        assert "not-her-word" not in json.dumps(failed)
    else:
        assert failed["data"]["reason"] == "pull_failed"
        assert "auth" in failed["error"]
    assert "nothing was changed" in failed["error"]
    assert running(project_name) == before
    await until(lambda: holding("not-her-word", tmp_path / "state") == [], "their end")


async def test_an_image_that_the_registry_does_not_have(
    peer: AgentPeer, registry: Registry, project_name: str
) -> None:
    services = {"web": runs(image=f"{registry.name}/team/nothing:1")}
    failed = await deploy(peer, project_name, services, {registry.name: ("ann", PASSWORD)})
    assert failed["data"]["reason"] == "pull_failed", failed
    assert "not found" in failed["error"] or "unknown" in failed["error"]
    assert "nothing was changed" in failed["error"]
    status = await peer.status(project_name)
    assert status["data"]["exists"] is False


async def test_a_registry_that_is_down_and_comes_back(
    peer: AgentPeer, registry: Registry, image: str, project_name: str
) -> None:
    assert (await deploy(peer, project_name, {"web": runs()}, {}))["status"] == "COMPLETED"
    before = running(project_name)
    services, auth = {"web": runs(image=image)}, {registry.name: ("ann", PASSWORD)}
    registry.stop()
    try:
        refused = await deploy(peer, project_name, services, auth)
        assert refused["data"]["reason"] == "registry_login_failed"
        failed = await deploy(peer, project_name, services, {})
        assert failed["data"]["reason"] == "pull_failed"
        for one in (refused, failed):
            assert "nothing was changed" in one["error"]
            assert "connection refused" in one["error"]
        assert f"logging in to {registry.name} failed" in refused["error"]
    finally:
        registry.start()
    assert running(project_name) == before
    done = await deploy(peer, project_name, services, auth)
    assert done["status"] == "COMPLETED", done


async def test_the_hosts_own_login_counts_beside_those_of_the_job(
    peer: AgentPeer, registry: Registry, image: str, project_name: str, tmp_path: Path
) -> None:
    config = tmp_path / ".docker" / "config.json"
    config.parent.mkdir()
    auth = base64.b64encode(b"host:hosts").decode()
    config.write_text(json.dumps({"auths": {registry.name: {"auth": auth}}}), encoding="ascii")
    before = config.read_bytes()
    with running_registry() as other:
        other.add_user("ann", PASSWORD)
        done = await deploy(
            peer, project_name, {"web": runs(image=image)}, {other.name: ("ann", PASSWORD)}
        )
    assert done["status"] == "COMPLETED", done
    assert config.read_bytes() == before


async def test_they_are_wiped_too_where_the_agent_is_killed_in_between(
    control_plane: ControlPlane, registry: Registry, image: str, project_name: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    web = checked("test -e /gate/open", image=image, volumes=[f"{gate}:/gate:ro"])
    web["healthcheck"] |= {"retries": 1000}
    state = tmp_path / "state"
    async with running_agent(tmp_path, server_url=control_plane.url, settings=SETTINGS) as agent:
        peer = await control_plane.agent()
        given = payload(project_name, {"web": web}, {registry.name: ("ann", PASSWORD)})
        job_id = await peer.start("DEPLOY_COMPOSE", given)
        assert (await peer.receive())["status"] == "IN_PROGRESS"
        await until(lambda: running(project_name), "the container")
        assert holding(PASSWORD, state) != []
        await agent.stop(signal.SIGKILL)
    async with running_agent(tmp_path, server_url=control_plane.url, settings=SETTINGS):
        peer = await control_plane.agent()
        (gate / "open").touch()
        final = await peer.receive()
        assert (final["job_id"], final["status"]) == (job_id, "COMPLETED"), final
        await until(lambda: holding(PASSWORD, state) == [], "the credentials' end")
