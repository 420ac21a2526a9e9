"""The contract of `ComposeRuntime`, with the real Docker Compose."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.compose.process import ProcessRunner
from adapters.compose.sh_runtime import ShComposeRuntime
from application.ports.compose_runtime import ComposeRuntime
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
