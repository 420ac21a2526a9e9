"""What every `ComposeExecutor` must still know when the agent has died and begun anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application.ports.compose_executor import ComposeExecutor
from domain.errors import Conflict
from domain.project import Project
from tests.builders import compose_content
from tests.contracts.executor_surroundings import (
    BUILD,
    LONG_S,
    PATIENCE_S,
    UP,
    WAITING_CONTENT,
    ExecutorSurroundings,
    everything,
    over,
    token,
    waiting_step,
)


class ExecutorLivesContract(ExecutorSurroundings):
    """Steps that agents begin and others find."""

    async def test_one_that_runs_is_found_in_another_life(
        self,
        executor: ComposeExecutor,
        another_life: Callable[[], ComposeExecutor],
        project: Callable[[bytes], Project],
    ) -> None:
        name = token()
        step = await waiting_step(executor, name, project(WAITING_CONTENT))
        reborn = another_life()
        found = await reborn.find(name)
        assert found is not None
        assert found.process == step.process
        assert await reborn.boot_id() == found.process.boot_id == await executor.boot_id()
        assert b"Waiting" in (await found.output(0, 10_000))[1]
        await found.end("cancel")
        ended = await over(found)
        assert ended.ended_by == "cancel"
        assert await over(step) == ended

    async def test_one_that_is_over_is_found_in_another_life(
        self,
        executor: ComposeExecutor,
        another_life: Callable[[], ComposeExecutor],
        project: Callable[[bytes], Project],
    ) -> None:
        name = token()
        step = await executor.start(name, UP, project(compose_content()), deadline_s=LONG_S)
        ended = await over(step)
        found = await another_life().find(name)
        assert found is not None
        assert found.process == step.process
        assert await over(found) == ended
        assert await everything(found) == await everything(step)

    async def test_what_was_never_started_is_not_found_and_never_will_be(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        name = token()
        assert await executor.find(name) is None
        with pytest.raises(Conflict):
            await executor.start(name, BUILD, project(compose_content()), deadline_s=LONG_S)
        assert await executor.find(name) is None

    async def test_a_token_is_for_one_start(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        web, name = project(compose_content()), token()
        step = await executor.start(name, BUILD, web, deadline_s=LONG_S)
        ended = await over(step)
        with pytest.raises(Conflict):
            await executor.start(name, UP, web, deadline_s=LONG_S)
        found = await executor.find(name)
        assert found is not None
        assert (found.process, await over(found)) == (step.process, ended)

    async def test_a_start_that_is_cancelled_is_found_or_nothing_runs(
        self,
        executor: ComposeExecutor,
        another_life: Callable[[], ComposeExecutor],
        project: Callable[[bytes], Project],
    ) -> None:
        web = project(compose_content())
        for turns in (0, 1, 2, 5, 20):
            name = token()
            starting = asyncio.create_task(executor.start(name, BUILD, web, deadline_s=LONG_S))
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            await asyncio.wait({starting})
            found = await executor.find(name)
            if found is not None:
                assert (await over(found)).exit_code == 0
            assert (await another_life().find(name) is None) == (found is None)

    async def test_one_that_is_killed_was_interrupted_for_whoever_asks(
        self,
        executor: ComposeExecutor,
        another_life: Callable[[], ComposeExecutor],
        project: Callable[[bytes], Project],
        interrupt: Callable[[str], Awaitable[None]],
    ) -> None:
        name = token()
        step = await waiting_step(executor, name, project(WAITING_CONTENT))
        await interrupt(name)
        async with asyncio.timeout(PATIENCE_S):
            assert await step.wait() is None
            assert await step.wait() is None
            found = await another_life().find(name)
            assert found is not None
            assert await found.wait() is None
            await found.end("cancel")
        assert b"Waiting" in (await found.output(0, 10_000))[1]

    async def test_what_is_discarded_is_forgotten(
        self,
        executor: ComposeExecutor,
        another_life: Callable[[], ComposeExecutor],
        project: Callable[[bytes], Project],
    ) -> None:
        web = project(compose_content())
        kept, gone = token(), token()
        for name in (kept, gone):
            await over(await executor.start(name, BUILD, web, deadline_s=LONG_S))
        assert {kept, gone} <= await executor.known_tokens()
        for _ in range(2):
            await executor.discard(gone)
        assert gone not in await executor.known_tokens()
        assert await executor.find(gone) is None
        reborn = another_life()
        assert kept in await reborn.known_tokens()
        assert await reborn.find(kept) is not None

    async def test_one_that_runs_is_not_discarded(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        name = token()
        step = await waiting_step(executor, name, project(WAITING_CONTENT))
        with pytest.raises(Conflict):
            await executor.discard(name)
        await step.end("cancel")
        assert (await over(step)).ended_by == "cancel"
