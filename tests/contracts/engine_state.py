"""What every `EngineState` must do. Written for a real engine; the fake follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from application.ports.engine_state import EngineState
from domain.engine_state import FoundContainer, Health, ImageFacts
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName
from tests.builders import IMAGE

COMPLAINT = "nothing listens yet"
"""The last line that the check of an unhealthy service prints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A service that a test wants to find, in the state that it is to be found in."""

    service: str
    exits: int | None = None
    """It has ended, with this code."""
    is_healthy: bool | None = None
    """It has a check, which has said so."""
    replicas: int = 1
    is_published: bool = False
    """Its port 80 can be reached at 127.0.0.1."""


SetUp = Callable[..., Awaitable[None]]
"""Takes the project's name and stages; comes back when all are as they are to be."""


class EngineStateContract:
    """Give the `state`, `absent_state` whose engine is down, `hanging_state` whose engine hangs.

    `set_up` brings a project up; whatever it leaves is the subclass's to take away. Its containers
    are in a network `default`. `name` and `other_name` are two projects' names, in capitals.
    """

    @pytest.fixture
    def state(self) -> EngineState:
        raise NotImplementedError

    @pytest.fixture
    def absent_state(self) -> EngineState:
        raise NotImplementedError

    @pytest.fixture
    async def hanging_state(self) -> EngineState:
        raise NotImplementedError

    @pytest.fixture
    def set_up(self) -> SetUp:
        raise NotImplementedError

    @pytest.fixture
    def name(self) -> ProjectName:
        raise NotImplementedError

    @pytest.fixture
    def other_name(self) -> ProjectName:
        raise NotImplementedError

    async def test_a_container_that_runs(
        self, state: EngineState, set_up: SetUp, name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="web"))
        (web,) = await state.containers(name)
        assert (web.service, web.name) == ("web", f"{name.compose_name}-web-1")
        assert (web.state, web.health, web.exit_code) == ("running", Health.NONE, None)
        assert web.status.startswith("Up ")
        assert (web.number, web.is_oneoff) == (1, False)
        assert (web.image, web.published_ports) == (IMAGE, ())
        assert web.config_hash is not None
        assert len(web.config_hash) == 64
        assert web.working_dir is not None
        assert web.working_dir.startswith("/")
        assert web.config_files is not None
        assert web.config_files.startswith(web.working_dir)
        assert web.error == ""
        assert len(web.id) in (12, 64)

    async def test_it_runs_the_image_that_its_reference_means(
        self, state: EngineState, set_up: SetUp, name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="web"))
        (web,) = await state.containers(name)
        image = await state.image(IMAGE)
        assert image is not None
        assert (web.image_id, image.repo_tags) == (image.id, (IMAGE,))

    async def test_a_container_that_has_ended(
        self, state: EngineState, set_up: SetUp, name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="done", exits=0), Stage(service="job", exits=3))
        done, job = await state.containers(name)
        assert (done.state, done.exit_code) == ("exited", 0)
        assert (job.state, job.exit_code) == ("exited", 3)

    async def test_health(self, state: EngineState, set_up: SetUp, name: ProjectName) -> None:
        await set_up(
            name, Stage(service="good", is_healthy=True), Stage(service="ill", is_healthy=False)
        )
        good, ill = await state.containers(name)
        assert (good.state, good.health) == ("running", Health.HEALTHY)
        assert (ill.state, ill.health) == ("running", Health.UNHEALTHY)

    async def test_replicas_are_told_apart(
        self, state: EngineState, set_up: SetUp, name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="web", replicas=2), Stage(service="app"))
        found = [(one.service, one.number) for one in await state.containers(name)]
        assert found == [("app", 1), ("web", 1), ("web", 2)]

    async def test_a_published_port(
        self, state: EngineState, set_up: SetUp, name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="web", is_published=True))
        ((port,),) = [one.published_ports for one in await state.containers(name)]
        assert (port.host_address, port.container_port, port.protocol) == ("127.0.0.1", 80, "tcp")
        assert port.host_port > 0

    async def test_a_project_that_has_nothing(self, state: EngineState, name: ProjectName) -> None:
        assert list(await state.containers(name)) == []
        assert list(await state.networks(name)) == []
        assert list(await state.volumes(name)) == []

    async def test_all_projects_at_once_are_each_as_it_is_alone(
        self, state: EngineState, set_up: SetUp, name: ProjectName, other_name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="web", is_healthy=True), Stage(service="job", exits=3))
        await set_up(other_name, Stage(service="db", replicas=2))
        projects = await state.all_projects()
        for one in (name, other_name):
            alone = await state.containers(one)
            together = projects[one.compose_name]
            assert list(map(what_is_always_told, together)) == list(map(what_is_always_told, alone))

    async def test_a_project_without_containers_is_none(
        self, state: EngineState, name: ProjectName
    ) -> None:
        assert name.compose_name not in await state.all_projects()

    async def test_an_image_by_its_id(self, state: EngineState) -> None:
        by_name = await state.image(IMAGE)
        assert isinstance(by_name, ImageFacts)
        assert await state.image(by_name.id) == by_name

    @pytest.mark.parametrize(
        "reference",
        [
            "idtest-none:local",
            "sha256:" + "0" * 64,
            "Not An Image",
            "",
            "--help",
            "../containers/json?",
            "UPPER:local",
        ],
    )
    async def test_an_image_that_the_engine_has_not(
        self, state: EngineState, reference: str
    ) -> None:
        assert await state.image(reference) is None

    async def test_what_belongs_to_the_project(
        self, state: EngineState, set_up: SetUp, name: ProjectName, other_name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="web"))
        await set_up(other_name, Stage(service="web"))
        assert list(await state.networks(name)) == [f"{name.compose_name}_default"]
        assert list(await state.volumes(name)) == [f"{name.compose_name}_data"]

    @pytest.mark.parametrize("question", ["containers", "networks", "volumes"])
    async def test_an_engine_that_is_down_is_never_an_empty_project(
        self, absent_state: EngineState, name: ProjectName, question: str
    ) -> None:
        with pytest.raises(RuntimeUnavailable, match=r".+"):
            await getattr(absent_state, question)(name)

    async def test_an_engine_that_is_down_has_not_lost_its_projects_nor_its_images(
        self, absent_state: EngineState
    ) -> None:
        for _ in range(2):
            with pytest.raises(RuntimeUnavailable):
                await absent_state.all_projects()
            with pytest.raises(RuntimeUnavailable):
                await absent_state.image(IMAGE)

    async def test_asking_one_that_hangs_can_be_cancelled(
        self, hanging_state: EngineState, name: ProjectName
    ) -> None:
        asking = asyncio.create_task(hanging_state.containers(name))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not asking.done()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


class FullEngineStateContract(EngineStateContract):
    """Also what only an engine that is asked itself can tell."""

    async def test_a_container_that_runs_says_since_when(
        self, state: EngineState, set_up: SetUp, name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="web"))
        (web,) = await state.containers(name)
        assert web.started_at is not None
        assert (web.finished_at, web.restart_count, web.is_oom_killed) == (None, 0, False)
        assert len(web.id) == 64

    async def test_a_container_that_has_ended_says_when(
        self, state: EngineState, set_up: SetUp, name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="job", exits=3))
        (job,) = await state.containers(name)
        # Not in this order, always: one that ends at once may have ended before it is noted down
        # that it has started (seen with 20.10).
        assert job.started_at is not None
        assert job.finished_at is not None

    async def test_what_the_health_check_said_last(
        self, state: EngineState, set_up: SetUp, name: ProjectName
    ) -> None:
        await set_up(name, Stage(service="web", is_healthy=False))
        (alone,) = await state.containers(name)
        (together,) = (await state.all_projects())[name.compose_name]
        assert alone.health_output == together.health_output == COMPLAINT


def what_is_always_told(container: FoundContainer) -> tuple[object, ...]:
    """The facts that each way of asking gives."""
    return (
        *(container.name, container.service, container.number, container.is_oneoff),
        *(container.state, container.health, container.exit_code),
        *(container.image, container.image_id, container.config_hash),
        *(container.published_ports, container.working_dir, container.config_files),
    )
