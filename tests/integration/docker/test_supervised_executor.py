"""The contract of `ComposeExecutor`, with the real Docker Compose under real job runners."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.compose.supervised import StepBounds, SupervisedComposeExecutor
from adapters.engine.state import SocketEngineState
from application.ports.compose_executor import ComposeExecutor
from application.ports.engine_state import EngineState
from domain.project import Project, ProjectName
from entrypoints.agent.container import compose_environment
from entrypoints.agent.settings import AgentSettings
from entrypoints.job_runner.location import runner_command
from tests.contracts.compose_executor import ComposeExecutorContract
from tests.contracts.executor_lives import ExecutorLivesContract
from tests.contracts.executor_surroundings import FIRST_BYTES, LAST_BYTES
from tests.integration.docker.conftest import take_down
from tests.integration.docker.driver import docker
from tests.support.runs import all_collected, end_all, kill_wholly

DEFAULT_BOUNDS = StepBounds()


class TestSupervisedComposeExecutor(ComposeExecutorContract, ExecutorLivesContract):
    @pytest.fixture
    def threads(self) -> Iterator[Executor]:
        with ThreadPoolExecutor(4) as threads:
            yield threads

    @pytest.fixture
    async def make(
        self, tmp_path: Path, threads: Executor
    ) -> AsyncIterator[Callable[..., SupervisedComposeExecutor]]:
        settings = AgentSettings()

        def make(bounds: StepBounds = DEFAULT_BOUNDS) -> SupervisedComposeExecutor:
            return SupervisedComposeExecutor(
                tmp_path / "state" / "runs",
                tmp_path / "locks",
                docker_host=settings.docker_host,
                environment=compose_environment(settings, os.environ),
                executor=threads,
                runner=runner_command(),
                bounds=bounds,
            )

        yield make
        await end_all(make())
        await all_collected()

    @pytest.fixture
    def executor(self, make: Callable[..., ComposeExecutor]) -> ComposeExecutor:
        return make()

    @pytest.fixture
    def forgetful(self, make: Callable[..., ComposeExecutor]) -> ComposeExecutor:
        return make(StepBounds(head_bytes=FIRST_BYTES, tail_bytes=LAST_BYTES))

    @pytest.fixture
    def another_life(self, make: Callable[..., ComposeExecutor]) -> Callable[[], ComposeExecutor]:
        return make

    @pytest.fixture
    def state(self) -> EngineState:
        return SocketEngineState(AgentSettings().docker_host)

    @pytest.fixture
    def pause(self) -> Callable[[Project, str], Awaitable[None]]:
        async def pause(_project: Project, name: str) -> None:
            docker("pause", name)

        return pause

    @pytest.fixture
    def project(self, tmp_path: Path, project_name: str) -> Callable[[bytes], Project]:
        return lambda content: written(tmp_path, project_name, content)

    @pytest.fixture
    def other_project(
        self, tmp_path: Path, project_name: str
    ) -> Iterator[Callable[[bytes], Project]]:
        name = f"{project_name}-other"
        yield lambda content: written(tmp_path, name, content)
        take_down(name)

    @pytest.fixture
    def interrupt(self) -> Callable[[str], Awaitable[None]]:
        return kill_wholly

    @pytest.fixture
    def pass_time(self) -> Callable[[float], Awaitable[None]]:
        async def by_itself(_seconds: float) -> None:
            """Waiting for the step lets it pass."""

        return by_itself


def written(where: Path, name: str, content: bytes) -> Project:
    """A project with this compose file."""
    directory = where / name
    directory.mkdir(exist_ok=True)
    compose_file = directory / "docker-compose.yml"
    compose_file.write_bytes(content)
    return Project(ProjectName(name), str(directory), str(compose_file))
