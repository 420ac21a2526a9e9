"""Both ways to read what really runs, on the real engine, with what the real Compose made."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.compose.process import ProcessRunner
from adapters.compose.state import ComposeEngineState
from adapters.engine.state import SocketEngineState
from application.ports.engine_state import EngineState
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName
from entrypoints.agent.container import compose_environment
from entrypoints.agent.settings import AgentSettings
from tests.builders import IMAGE
from tests.contracts.engine_state import (
    COMPLAINT,
    EngineStateContract,
    FullEngineStateContract,
    SetUp,
    Stage,
)
from tests.integration.docker.conftest import take_down

PATIENCE_S = 60.0


def docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def content(stages: tuple[Stage, ...]) -> str:
    return json.dumps(
        {
            "services": {stage.service: service(stage) for stage in stages},
            "volumes": {"data": {}},
        }
    )


def service(stage: Stage) -> dict[str, Any]:
    command = "sleep 3600" if stage.exits is None else f"exit {stage.exits}"
    definition: dict[str, Any] = {
        "image": IMAGE,
        "command": ["sh", "-c", f"exec {command}" if stage.exits is None else command],
        "init": True,
        "stop_grace_period": "0s",
        "scale": stage.replicas,
        "volumes": ["data:/data"],
    }
    if stage.is_published:
        definition["ports"] = ["127.0.0.1::80"]
    if stage.is_healthy is not None:
        said = f"printf 'first\\n{COMPLAINT}\\n\\n'; exit {int(not stage.is_healthy)}"
        test = ["CMD-SHELL", said]
        definition["healthcheck"] = {"test": test, "interval": "200ms", "retries": 1}
    return definition


def is_as_wanted(stage: Stage, inspected: dict[str, Any]) -> bool:
    state = inspected["State"]
    if stage.is_healthy is not None:
        wanted = "healthy" if stage.is_healthy else "unhealthy"
        return bool(state["Health"]["Status"] == wanted)
    return bool(state["Status"] == ("running" if stage.exits is None else "exited"))


def inspected(project: str) -> list[dict[str, Any]]:
    label = f"label=com.docker.compose.project={project}"
    ids = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", label).split()
    found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
    return found


@pytest.fixture
async def silent_socket(tmp_path: Path) -> AsyncIterator[str]:
    release = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_unix_server(hang, tmp_path / "hangs")
    async with server:
        yield f"unix://{tmp_path}/hangs"
        release.set()


def take_away(project: str) -> None:
    take_down(project)
    label = f"label=com.docker.compose.project={project}"
    if volumes := docker("volume", "ls", "--quiet", "--filter", label).split():
        docker("volume", "rm", *volumes)


class OnTheEngine:
    """The projects of the contracts, brought up by Compose."""

    @pytest.fixture
    def name(self, project_name: str) -> Iterator[ProjectName]:
        yield ProjectName(project_name.upper())
        take_away(project_name)

    @pytest.fixture
    def other_name(self, project_name: str) -> Iterator[ProjectName]:
        other = ProjectName(f"{project_name}-other")
        yield other
        take_away(other.value)

    @pytest.fixture
    def set_up(self, tmp_path: Path) -> SetUp:
        async def set_up(name: ProjectName, *stages: Stage) -> None:
            project = name.compose_name
            directory = tmp_path / project
            directory.mkdir()
            file = directory / "docker-compose.yml"
            file.write_text(content(stages), encoding="utf-8")
            docker(
                *("compose", "-p", project, "--project-directory", str(directory)),
                *("-f", str(file), "up", "--detach"),
            )
            wanted = {stage.service: stage for stage in stages}
            async with asyncio.timeout(PATIENCE_S):
                while not all(  # noqa: ASYNC110 - a process boundary
                    is_as_wanted(wanted[one["Config"]["Labels"]["com.docker.compose.service"]], one)
                    for one in inspected(project)
                ):
                    await asyncio.sleep(0.05)

        return set_up


class TestSocketEngineState(OnTheEngine, FullEngineStateContract):
    @pytest.fixture
    def state(self) -> EngineState:
        return SocketEngineState(AgentSettings().docker_host)

    @pytest.fixture
    def absent_state(self, tmp_path: Path) -> EngineState:
        return SocketEngineState(f"unix://{tmp_path}/absent")

    @pytest.fixture
    async def hanging_state(self, silent_socket: str) -> EngineState:
        return SocketEngineState(silent_socket, answer_s=60.0)


class TestComposeEngineState(OnTheEngine, EngineStateContract):
    @pytest.fixture
    def through(self) -> Callable[[str], ComposeEngineState]:
        def through(docker_host: str) -> ComposeEngineState:
            environment = compose_environment(AgentSettings(), os.environ)
            return ComposeEngineState(ProcessRunner(environment | {"DOCKER_HOST": docker_host}))

        return through

    @pytest.fixture
    def state(self, through: Callable[[str], ComposeEngineState]) -> EngineState:
        return through(AgentSettings().docker_host)

    @pytest.fixture
    def absent_state(
        self, tmp_path: Path, through: Callable[[str], ComposeEngineState]
    ) -> EngineState:
        return through(f"unix://{tmp_path}/absent")

    @pytest.fixture
    async def hanging_state(
        self, silent_socket: str, through: Callable[[str], ComposeEngineState]
    ) -> EngineState:
        return through(silent_socket)

    async def test_what_compose_does_not_say_is_not_known(
        self, state: EngineState, set_up: SetUp, name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="web", is_healthy=False))
        (web,) = await state.containers(name)
        assert (web.restart_count, web.is_oom_killed, web.health_output) == (None, None, None)
        assert (web.started_at, web.finished_at) == (None, None)

    async def test_a_compose_that_does_not_end_is_given_up(self, silent_socket: str) -> None:
        runner = ProcessRunner({"PATH": os.environ["PATH"], "DOCKER_HOST": silent_socket})
        state = ComposeEngineState(runner, answer_s=0.3)
        with pytest.raises(RuntimeUnavailable, match=r"'docker compose' does not end within 0\.3"):
            await state.containers(ProjectName("blog"))

    async def test_no_docker_at_all(self, tmp_path: Path) -> None:
        state = ComposeEngineState(ProcessRunner({"PATH": str(tmp_path)}))
        with pytest.raises(RuntimeUnavailable, match="there is no program 'docker'"):
            await state.containers(ProjectName("blog"))
