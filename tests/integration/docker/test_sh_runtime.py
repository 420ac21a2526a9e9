"""The contract of `ComposeRuntime`, with the real Docker Compose."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.compose.process import ProcessRunner
from adapters.compose.sh_runtime import ShComposeRuntime
from application.ports.compose_runtime import ComposeRuntime
from domain.errors import RuntimeUnavailable
from domain.project import Project, ProjectName
from entrypoints.agent.container import compose_environment
from entrypoints.agent.settings import AgentSettings
from tests.contracts.compose_runtime import ComposeRuntimeContract


class TestShComposeRuntime(ComposeRuntimeContract):
    @pytest.fixture
    def runtime(self) -> ComposeRuntime:
        return ShComposeRuntime(ProcessRunner(compose_environment(AgentSettings(), os.environ)))

    @pytest.fixture
    def project(self, tmp_path: Path, project_name: str) -> Callable[[bytes], Project]:
        directory = tmp_path / project_name
        directory.mkdir()
        compose_file = directory / "docker-compose.yml"

        def write(content: bytes) -> Project:
            compose_file.write_bytes(content)
            return Project(ProjectName(project_name), str(directory), str(compose_file))

        return write

    @pytest.fixture
    def put(self) -> Callable[[Project, str, bytes], None]:
        def put(project: Project, path: str, content: bytes) -> None:
            (Path(project.directory) / path).write_bytes(content)

        return put


async def test_whether_compose_is_supported_is_found_out_once_and_asked_again_until_then(
    tmp_path: Path,
) -> None:
    calls, docker = tmp_path / "calls", tmp_path / "docker"
    docker.write_text(
        f"#!/bin/sh\necho x >> {calls}\n[ -e {tmp_path}/new ] && echo 2.26.1 || echo 2.19.9\n",
        encoding="ascii",
    )
    docker.chmod(0o755)
    runtime = ShComposeRuntime(ProcessRunner({"PATH": f"{tmp_path}:{os.environ['PATH']}"}))
    with pytest.raises(RuntimeUnavailable, match=r"2\.19\.9 is too old"):
        await runtime.ensure_supported()
    (tmp_path / "new").touch()
    await asyncio.gather(*(runtime.ensure_supported() for _ in range(5)))
    await runtime.ensure_supported()
    assert calls.read_text(encoding="ascii").count("x") == 2
