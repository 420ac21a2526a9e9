"""The fake keeps the contract on which tests of commands rely."""

from __future__ import annotations

import pytest

from tests.unit.cli.api_contract import ApiContract
from tests.unit.cli.fake_api import fake_client
from tests.unit.cli.world import World, result


class FakeSubject:
    def __init__(self) -> None:
        self.world = World()
        self.world.add_user("ann", {"role": "admin", "labels": {}})
        self.api = fake_client(self.world)

    async def add_host(self, name: str, *, fails: bool = False, **labels: str) -> str:
        self.world.add_host(name, ends=None, **labels)
        if fails:
            self.world.endings[name] = lambda _: ("failed", result("it broke"))
        return name


class TestFake(ApiContract):
    @pytest.fixture
    def subject(self) -> FakeSubject:
        return FakeSubject()
