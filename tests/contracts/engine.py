"""What every `Engine` must do."""

from __future__ import annotations

import asyncio
import re

import pytest

from application.ports.engine import Engine
from domain.errors import RuntimeUnavailable


class EngineContract:
    """Give an `engine` that answers, an `absent_engine` and a `hanging_engine`.

    The last one may answer after a minute, but not during a test.
    """

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError

    @pytest.fixture
    def absent_engine(self) -> Engine:
        raise NotImplementedError

    @pytest.fixture
    def hanging_engine(self) -> Engine:
        raise NotImplementedError

    async def test_it_says_its_versions(self, engine: Engine) -> None:
        info = await engine.info()
        assert re.match(r"\d+\.\d+", info.version)
        assert re.fullmatch(r"\d+\.\d+", info.api_version)

    async def test_a_ping_of_one_that_answers_raises_nothing(self, engine: Engine) -> None:
        """That it comes back is all that there is to see: the other tests say what it raises."""
        await engine.ping()

    async def test_it_says_the_same_to_all_who_ask_at_once(self, engine: Engine) -> None:
        answers = await asyncio.gather(*(engine.info() for _ in range(10)))
        assert len(set(answers)) == 1

    @pytest.mark.parametrize("question", ["ping", "info"])
    async def test_one_that_is_not_there_is_unavailable_and_advice_is_given(
        self, absent_engine: Engine, question: str
    ) -> None:
        with pytest.raises(RuntimeUnavailable, match=r"Docker Engine does not answer at .*; .+"):
            await getattr(absent_engine, question)()

    async def test_one_that_is_not_there_may_be_asked_again(self, absent_engine: Engine) -> None:
        for _ in range(2):
            with pytest.raises(RuntimeUnavailable):
                await absent_engine.info()

    async def test_asking_one_that_hangs_can_be_cancelled(self, hanging_engine: Engine) -> None:
        asking = asyncio.create_task(hanging_engine.info())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not asking.done()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
