"""The fake executor and the fake container names keep the contracts of the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application.ports.compose_executor import ComposeAction, ComposeExecutor
from application.ports.container_names import ContainerNames
from application.ports.engine_state import EngineState
from domain.errors import NoSpace, RuntimeUnavailable
from domain.output import BoundedOutput
from domain.project import Project, ProjectName
from tests.builders import compose_content
from tests.contracts.compose_executor import ComposeExecutorContract
from tests.contracts.container_names import (
    ContainerNamesContract,
    Leave,
    RenameByHand,
    web_of,
)
from tests.contracts.executor_lives import ExecutorLivesContract
from tests.contracts.executor_surroundings import (
    FIRST_BYTES,
    LAST_BYTES,
    LONG_S,
    everything,
    over,
    token,
)
from tests.fakes.clock import FakeClock, settle
from tests.fakes.compose_executor import TERMINATED, FakeComposeExecutor
from tests.fakes.compose_runtime import FakeComposeRuntime, Scripted
from tests.fakes.container_names import FakeContainerNames
from tests.fakes.project_files import FakeProjectFiles

UP = ComposeAction.UP


@pytest.fixture
def files() -> FakeProjectFiles:
    return FakeProjectFiles()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def compose(files: FakeProjectFiles) -> FakeComposeRuntime:
    return FakeComposeRuntime(files.at)


@pytest.fixture
def fake(compose: FakeComposeRuntime, clock: FakeClock) -> FakeComposeExecutor:
    return FakeComposeExecutor(compose, clock)


@pytest.fixture
def web(files: FakeProjectFiles) -> Project:
    return files.put("Blog", compose_content())


class TestFakeComposeExecutor(ComposeExecutorContract, ExecutorLivesContract):
    @pytest.fixture
    def executor(self, fake: FakeComposeExecutor) -> ComposeExecutor:
        return fake

    @pytest.fixture
    def forgetful(self, compose: FakeComposeRuntime, clock: FakeClock) -> ComposeExecutor:
        return FakeComposeExecutor(compose, clock, head_bytes=FIRST_BYTES, tail_bytes=LAST_BYTES)

    @pytest.fixture
    def another_life(self, fake: FakeComposeExecutor) -> Callable[[], ComposeExecutor]:
        return lambda: fake

    @pytest.fixture
    def state(self, compose: FakeComposeRuntime) -> EngineState:
        return compose.state

    @pytest.fixture
    def pause(self, compose: FakeComposeRuntime) -> Callable[[Project, str], Awaitable[None]]:
        async def pause(project: Project, name: str) -> None:
            compose.state.change(project.name.compose_name, name, state="paused")

        return pause

    @pytest.fixture
    def project(self, files: FakeProjectFiles) -> Callable[[bytes], Project]:
        return lambda content: files.put("Blog", content)

    @pytest.fixture
    def other_project(self, files: FakeProjectFiles) -> Callable[[bytes], Project]:
        return lambda content: files.put("Shop", content)

    @pytest.fixture
    def interrupt(self, fake: FakeComposeExecutor) -> Callable[[str], Awaitable[None]]:
        async def interrupt(name: str) -> None:
            fake.interrupt(name)

        return interrupt

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> Callable[[float], Awaitable[None]]:
        return clock.advance


async def test_a_step_does_what_its_script_says(
    fake: FakeComposeExecutor, compose: FakeComposeRuntime, web: Project
) -> None:
    compose.script("up", Scripted(exit_code=18, output=b"pull access denied\n"))
    step = await fake.start(token(), UP, web, deadline_s=LONG_S)
    assert (await over(step)).exit_code == 18
    assert await everything(step) == b"pull access denied\n"


async def test_a_step_that_hangs_goes_on_when_it_is_released_whoever_waits_for_it(
    fake: FakeComposeExecutor, compose: FakeComposeRuntime, web: Project
) -> None:
    hanging = compose.hang("up")
    step = await fake.start(token(), UP, web, deadline_s=LONG_S)
    agent = asyncio.create_task(step.wait())
    await hanging.started.wait()
    agent.cancel()
    await settle()
    assert compose.calls_under_way == 1
    hanging.release.set()
    assert (await over(step)).exit_code == 0
    assert compose.running == {"blog": compose_content()}
    assert fake.actions_of("blog") == [UP]


async def test_the_deadline_is_the_clocks(
    fake: FakeComposeExecutor, compose: FakeComposeRuntime, clock: FakeClock, web: Project
) -> None:
    compose.hang("up")
    step = await fake.start(token(), UP, web, deadline_s=60)
    await clock.advance(59)
    assert fake.runs[next(iter(fake.runs))].exit is None
    await clock.advance(1)
    ended = await over(step)
    assert (ended.exit_code, ended.ended_by) == (TERMINATED, "deadline")
    assert compose.calls_under_way == 0


async def test_a_reboot_ends_everything_and_records_nothing(
    fake: FakeComposeExecutor, compose: FakeComposeRuntime, web: Project
) -> None:
    compose.hang("up")
    name, before = token(), await fake.boot_id()
    step = await fake.start(name, UP, web, deadline_s=LONG_S)
    await fake.reboot()
    assert await step.wait() is None
    assert await fake.boot_id() != before == step.process.boot_id
    found = await fake.find(name)
    assert found is not None
    assert await found.wait() is None


async def test_a_start_that_is_held_is_revoked_by_whoever_looks_for_it(
    fake: FakeComposeExecutor, compose: FakeComposeRuntime, web: Project
) -> None:
    name, held = token(), fake.hold_next_start()
    starting = asyncio.create_task(fake.start(name, UP, web, deadline_s=LONG_S))
    await held.begun.wait()
    assert await fake.find(name) is None
    held.release.set()
    with pytest.raises(RuntimeUnavailable):
        await starting
    assert compose.calls == []


async def test_nothing_starts_on_a_full_disk_or_without_docker(
    fake: FakeComposeExecutor, compose: FakeComposeRuntime, web: Project
) -> None:
    fake.is_full = True
    with pytest.raises(NoSpace):
        await fake.start(token(), UP, web, deadline_s=LONG_S)
    fake.is_full = False
    compose.unavailable = RuntimeUnavailable("there is no program 'docker'")
    with pytest.raises(RuntimeUnavailable):
        await fake.start(token(), UP, web, deadline_s=LONG_S)
    assert fake.starts == []


class TestFakeContainerNames(ContainerNamesContract):
    @pytest.fixture
    def names(self, compose: FakeComposeRuntime) -> ContainerNames:
        return FakeContainerNames(compose)

    @pytest.fixture
    def absent_names(self, compose: FakeComposeRuntime) -> ContainerNames:
        absent = FakeContainerNames(compose)
        absent.unavailable = RuntimeUnavailable("Docker Engine does not answer")
        return absent

    @pytest.fixture
    async def name(self, compose: FakeComposeRuntime, web: Project) -> ProjectName:
        await compose.up(web, BoundedOutput())
        return web.name

    @pytest.fixture
    async def other_name(self, compose: FakeComposeRuntime, files: FakeProjectFiles) -> ProjectName:
        shop = files.put("Shop", compose_content())
        await compose.up(shop, BoundedOutput())
        return shop.name

    @pytest.fixture
    def leave_new_alone(self, compose: FakeComposeRuntime) -> Leave:
        async def leave(name: ProjectName) -> str:
            return compose.misname(name.compose_name, "web")

        return leave

    @pytest.fixture
    def leave_both(self, compose: FakeComposeRuntime) -> Leave:
        async def leave(name: ProjectName) -> str:
            return compose.leave_unfinished(name.compose_name, "web")

        return leave

    @pytest.fixture
    def remove_by_half(self, compose: FakeComposeRuntime) -> Leave:
        async def remove(name: ProjectName) -> str:
            return compose.remove_by_half(name.compose_name, "web")

        return remove

    @pytest.fixture
    def names_of(self, compose: FakeComposeRuntime) -> Callable[[ProjectName], list[str]]:
        return lambda name: compose.names_on_engine(name.compose_name)

    @pytest.fixture
    def rename_by_hand(self, compose: FakeComposeRuntime) -> RenameByHand:
        def rename(name: ProjectName, wrong: str) -> str:
            return compose.state.change(name.compose_name, web_of(name), name=wrong).id

        return rename
