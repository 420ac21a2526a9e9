"""The fake `EngineState` keeps the contract that the real ones keep."""

from __future__ import annotations

import pytest

from application.ports.engine_state import EngineState
from domain.engine_state import Health, ImageFacts
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName
from domain.services import PublishedPort
from tests.builders import IMAGE
from tests.contracts.engine_state import COMPLAINT, FullEngineStateContract, SetUp, Stage
from tests.fakes.engine import DOWN
from tests.fakes.engine_state import FakeEngineState, found

IMAGE_ID = "sha256:" + "a" * 64


class TestFakeEngineState(FullEngineStateContract):
    @pytest.fixture
    def fake(self) -> FakeEngineState:
        fake = FakeEngineState()
        fake.images[IMAGE] = ImageFacts(IMAGE_ID, (), (IMAGE,))
        return fake

    @pytest.fixture
    def state(self, fake: FakeEngineState) -> EngineState:
        return fake

    @pytest.fixture
    def absent_state(self) -> EngineState:
        fake = FakeEngineState()
        fake.unavailable = RuntimeUnavailable(DOWN)
        return fake

    @pytest.fixture
    async def hanging_state(self) -> EngineState:
        fake = FakeEngineState()
        fake.answers.clear()
        return fake

    @pytest.fixture
    def name(self) -> ProjectName:
        return ProjectName("Blog")

    @pytest.fixture
    def other_name(self) -> ProjectName:
        return ProjectName("Shop")

    @pytest.fixture
    def set_up(self, fake: FakeEngineState) -> SetUp:
        async def set_up(name: ProjectName, *stages: Stage) -> None:
            project = name.compose_name
            fake.network_names[project] = [f"{project}_default"]
            fake.volume_names[project] = [f"{project}_data"]
            for stage in stages:
                for number in range(1, stage.replicas + 1):
                    fake.put(project, found(stage.service, project=project, **facts(stage, number)))

        return set_up

    async def test_what_is_changed_by_hand_is_found_so(self, fake: FakeEngineState) -> None:
        fake.put("blog", found("web"), found("db"))
        fake.change("blog", "blog-web-1", name="by-hand")
        fake.remove("blog", "blog-db-1")
        assert [one.name for one in await fake.containers(ProjectName("blog"))] == ["by-hand"]
        assert fake.asked == [("containers", "blog")]


def facts(stage: Stage, number: int) -> dict[str, object]:
    facts: dict[str, object] = {"number": number}
    if stage.exits is not None:
        facts |= {"state": "exited", "exit_code": stage.exits, "finished_at": 1001.0}
    if stage.is_healthy is not None:
        facts["health"] = Health.HEALTHY if stage.is_healthy else Health.UNHEALTHY
        facts["health_output"] = None if stage.is_healthy else COMPLAINT
    if stage.is_published:
        facts["published_ports"] = (PublishedPort("127.0.0.1", 32768, 80, "tcp"),)
    return facts
