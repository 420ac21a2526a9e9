"""The fakes keep the contracts that the real adapters keep, so that tests on them mean something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application.ports.clock import Clock
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine import Engine
from application.ports.host import Host
from application.ports.project_files import ProjectFiles
from domain.output import BoundedOutput
from domain.project import Project
from tests.builders import compose_content
from tests.contracts.clock import ClockContract
from tests.contracts.compose_runtime import ComposeRuntimeContract
from tests.contracts.engine import EngineContract
from tests.contracts.project_files import ProjectFilesContract
from tests.fakes.clock import FakeClock, settle
from tests.fakes.compose_runtime import FakeComposeRuntime, Scripted
from tests.fakes.engine import FakeEngine
from tests.fakes.host import FakeHost
from tests.fakes.project_files import ROOT, FakeProjectFiles


class TestFakeClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return FakeClock()

    @pytest.fixture
    def pass_time(self, clock: Clock) -> Callable[[float], Awaitable[None]]:
        assert isinstance(clock, FakeClock)
        return clock.advance

    async def test_sleepers_wake_in_the_order_of_their_time_and_at_it(self) -> None:
        clock = FakeClock()
        woken: list[tuple[str, float]] = []

        async def sleep(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic() - started))

        started = clock.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sleep("late", 20))
            tasks.create_task(sleep("early", 5))
            await clock.advance(19.9)
            assert woken == [("early", 5)]
            assert (clock.sleepers, clock.alarms) == (1, 1)
            await clock.advance(0.2)
        assert woken == [("early", 5), ("late", 20)]
        assert clock.slept == [20, 5]

    async def test_who_sleeps_again_on_waking_wakes_again_within_one_advance(self) -> None:
        clock = FakeClock()

        async def sleep_twice() -> None:
            await clock.sleep(1)
            await clock.sleep(2)

        sleeping = asyncio.create_task(sleep_twice())
        await clock.advance(3)
        assert sleeping.done()


class TestFakeEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return FakeEngine()

    @pytest.fixture
    def absent_engine(self) -> Engine:
        return FakeEngine(is_down=True)

    @pytest.fixture
    def hanging_engine(self) -> Engine:
        engine = FakeEngine()
        engine.answers.clear()
        return engine


class TestFakeProjectFiles(ProjectFilesContract):
    @pytest.fixture
    def fake(self) -> FakeProjectFiles:
        return FakeProjectFiles()

    @pytest.fixture
    def files(self, fake: FakeProjectFiles) -> ProjectFiles:
        return fake

    @pytest.fixture
    def read(self, fake: FakeProjectFiles) -> Callable[[str], bytes]:
        return fake.at

    @pytest.fixture
    def everything(self, fake: FakeProjectFiles) -> Callable[[], set[str]]:
        return lambda: set(fake.on_disk)

    @pytest.fixture
    def fill_disk(self, fake: FakeProjectFiles) -> Callable[[], None]:
        def fill() -> None:
            fake.is_full = True

        return fill

    @pytest.fixture
    def link_directory(self, fake: FakeProjectFiles) -> Callable[[str], None]:
        return fake.linked_directories.add

    @pytest.fixture
    def link_file(self, fake: FakeProjectFiles) -> Callable[[str], None]:
        return fake.linked_files.add

    @pytest.fixture
    def link(self, fake: FakeProjectFiles) -> Callable[[str], None]:
        return lambda path: fake.links.add(f"{ROOT}/{path}")

    @pytest.fixture
    def put(self, fake: FakeProjectFiles) -> Callable[[str, bytes], None]:
        def put(path: str, content: bytes) -> None:
            fake.on_disk[f"{ROOT}/{path}"] = content

        return put


class TestFakeComposeRuntime(ComposeRuntimeContract):
    @pytest.fixture
    def files(self) -> FakeProjectFiles:
        return FakeProjectFiles()

    @pytest.fixture
    def fake(self, files: FakeProjectFiles) -> FakeComposeRuntime:
        return FakeComposeRuntime(files.at)

    @pytest.fixture
    def runtime(self, fake: FakeComposeRuntime) -> ComposeRuntime:
        return fake

    @pytest.fixture
    def project(self, files: FakeProjectFiles) -> Callable[[bytes], Project]:
        return lambda content: files.put("Blog", content)

    @pytest.fixture
    def put(self, files: FakeProjectFiles) -> Callable[[Project, str, bytes], None]:
        def put(project: Project, path: str, content: bytes) -> None:
            files.put(project.name.value, content, path)

        return put

    async def test_a_cancelled_call_is_recorded_as_clean(
        self, fake: FakeComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        hanging = fake.hang("up")
        bringing_up = asyncio.create_task(fake.up(project(compose_content()), BoundedOutput()))
        await hanging.started.wait()
        assert fake.calls_under_way == 1
        bringing_up.cancel()
        await settle()
        assert fake.cancelled == [("up", "blog")]
        assert (fake.calls_under_way, fake.running) == (0, {})

    async def test_a_script_is_for_one_run(
        self, fake: FakeComposeRuntime, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        output = BoundedOutput()
        fake.script("up", Scripted(exit_code=18, output=b"pull access denied\n"))
        assert await fake.up(web, output) == 18
        assert output.text() == "pull access denied\n"
        assert await fake.up(web, output) == 0
        assert fake.running == {"blog": compose_content()}


def test_the_fake_host_is_a_host() -> None:
    host: Host = FakeHost()
    assert host.facts().architecture == "linux-amd64"
