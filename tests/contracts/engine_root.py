"""What every `EngineRoot` must do."""

from __future__ import annotations

import asyncio

import pytest

from application.ports.engine_root import EngineRoot
from domain.errors import RuntimeUnavailable


class EngineRootContract:
    """Give the `root` of an engine that answers, and of an `absent_engine`."""

    @pytest.fixture
    def root(self) -> EngineRoot:
        raise NotImplementedError

    @pytest.fixture
    def absent_engine(self) -> EngineRoot:
        raise NotImplementedError

    async def test_it_says_an_absolute_path_to_all_who_ask(self, root: EngineRoot) -> None:
        answers = await asyncio.gather(*(root.directory() for _ in range(3)))
        assert len(set(answers)) == 1
        assert answers[0].startswith("/")

    async def test_one_that_is_not_there_is_unavailable(self, absent_engine: EngineRoot) -> None:
        with pytest.raises(RuntimeUnavailable, match=r".*; .+"):
            await absent_engine.directory()
