"""What the tests on a real engine share. A missing engine fails them; nothing is skipped."""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.docker.private_engine import PrivateEngine, private_engine
from tests.support.agent_process import AgentProcess, running_agent
from tests.support.control_plane import AgentPeer, ControlPlane
from tests.support.registry import Registry, running_registry

IMAGE = "instadeploy-demo:local"
SLEEPER = f"""
services:
  main:
    image: {IMAGE}
    command: ["sleep", "3600"]
    init: true
    stop_grace_period: 0s
    network_mode: none
"""


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    """The engine answers and the test image is there; `make test` has seen to both."""
    found = subprocess.run(
        ["docker", "image", "inspect", IMAGE], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, f"run these tests with 'make test': {found.stderr}"


@pytest.fixture
def project_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name of the test's own; whatever runs under it afterwards is taken down."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw")
    name = f"idtest-{worker}-{zlib.crc32(request.node.nodeid.encode())}"
    yield name
    take_down(name)


def take_down(project: str) -> None:
    """Remove what a project left on the shared engine, by its label alone."""
    label = f"label=com.docker.compose.project={project.lower()}"
    for kind, remove in (("container", "rm --force"), ("network", "rm")):
        listed = subprocess.run(
            [
                "docker",
                kind,
                "ls",
                "--quiet",
                "--filter",
                label,
                *(["--all"] * (kind == "container")),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        if ids := listed.stdout.split():
            subprocess.run(["docker", kind, *remove.split(), *ids], capture_output=True, check=True)


@pytest.fixture
async def control_plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as listening:
        yield listening


@pytest.fixture
async def agent(tmp_path: Path, control_plane: ControlPlane) -> AsyncIterator[AgentProcess]:
    async with running_agent(tmp_path, server_url=control_plane.url) as process:
        yield process


@pytest.fixture
async def peer(agent: AgentProcess, control_plane: ControlPlane) -> AgentPeer:
    """The control plane's end of a real agent's connection."""
    assert agent.process.returncode is None
    return await control_plane.agent()


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """A registry that lets `ann` in with the test module's `PASSWORD`, and `host` with `hosts`."""
    with running_registry() as one:
        one.add_user("ann", request.module.PASSWORD)
        one.add_user("host", "hosts")
        yield one


@pytest.fixture
def image(registry: Registry) -> Iterator[str]:
    """An image that only the registry has."""
    reference = registry.push(IMAGE, "team/demo:1")
    yield reference
    subprocess.run(["docker", "rmi", "--no-prune", reference], capture_output=True, check=False)


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    """A private engine, with the test image."""
    # Not below tmp_path: a path to a unix socket has room for about a hundred characters.
    with private_engine(tmp_path_factory.mktemp("e", numbered=True)) as engine:
        yield engine
