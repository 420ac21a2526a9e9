"""What every `ComposeExecutor` must do. Written for a real Docker Compose; the fake follows it.

What it must do beyond one life of an agent is in `executor_lives`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import pytest

from application.ports.compose_executor import ComposeExecutor, ComposeOptions
from application.ports.engine_state import EngineState
from domain.project import Project
from tests.builders import REJECTED_CONTENT, compose_content
from tests.contracts.executor_surroundings import (
    BUILD,
    DOWN,
    FIRST_BYTES,
    LAST_BYTES,
    LONG_S,
    REMOVE,
    RESTART,
    UNPAUSE,
    UP,
    WAITING_CONTENT,
    ExecutorSurroundings,
    everything,
    over,
    token,
    waiting_step,
)

PROFILED_CONTENT = (
    compose_content("web")
    + compose_content("shell").removeprefix(b"services:\n")
    + b"    profiles: [debug]\n"
)


class ComposeExecutorContract(ExecutorSurroundings):
    """Steps of one agent."""

    async def test_building_where_nothing_is_to_be_built_starts_nothing(
        self,
        executor: ComposeExecutor,
        state: EngineState,
        project: Callable[[bytes], Project],
    ) -> None:
        web = project(compose_content())
        ended = await over(await executor.start(token(), BUILD, web, deadline_s=LONG_S))
        assert (ended.exit_code, ended.ended_by) == (0, "")
        assert ended.seconds >= 0
        assert not await state.containers(web.name)

    async def test_a_file_that_compose_rejects_has_an_exit_code_and_says_why(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        bad = project(REJECTED_CONTENT)
        step = await executor.start(token(), BUILD, bad, deadline_s=LONG_S)
        assert (await over(step)).exit_code > 0
        assert b"neither an image nor a build context" in await everything(step)

    async def test_a_project_is_brought_up_and_taken_down(
        self,
        executor: ComposeExecutor,
        state: EngineState,
        project: Callable[[bytes], Project],
    ) -> None:
        web = project(compose_content())
        up = await executor.start(token(), UP, web, deadline_s=LONG_S)
        assert (await over(up)).exit_code == 0
        assert [(c.service, c.state) for c in await state.containers(web.name)] == [
            ("web", "running")
        ]
        down = await executor.start(token(), DOWN, web, deadline_s=LONG_S)
        assert (await over(down)).exit_code == 0
        assert not await state.containers(web.name)

    async def test_what_happens_is_printed_in_its_order_and_for_no_terminal(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        up = await executor.start(token(), UP, project(compose_content()), deadline_s=LONG_S)
        await over(up)
        printed = await everything(up)
        assert -1 < printed.find(b"Created") < printed.find(b"Started")
        assert b"\x1b" not in printed

    async def test_both_are_harmless_again_and_taking_down_what_never_ran_too(
        self,
        executor: ComposeExecutor,
        state: EngineState,
        project: Callable[[bytes], Project],
    ) -> None:
        web = project(compose_content())
        found = []
        for action in (DOWN, UP, UP, DOWN, DOWN):
            step = await executor.start(token(), action, web, deadline_s=LONG_S)
            assert (await over(step)).exit_code == 0
            found.append([c.id for c in await state.containers(web.name)])
        assert found[0] == found[3] == found[4] == []
        assert len(found[1]) == 1
        assert found[1] == found[2]

    async def test_what_was_taken_off_with_its_volumes_has_no_containers(
        self,
        executor: ComposeExecutor,
        state: EngineState,
        project: Callable[[bytes], Project],
    ) -> None:
        web = project(compose_content())
        await over(await executor.start(token(), UP, web, deadline_s=LONG_S))
        for _ in range(2):
            gone = await executor.start(token(), REMOVE, web, deadline_s=LONG_S)
            assert (await over(gone)).exit_code == 0
        assert not await state.containers(web.name)

    async def test_what_is_restarted_runs(
        self,
        executor: ComposeExecutor,
        state: EngineState,
        project: Callable[[bytes], Project],
    ) -> None:
        web = project(compose_content())
        await over(await executor.start(token(), UP, web, deadline_s=LONG_S))
        before = await state.containers(web.name)
        again = await executor.start(token(), RESTART, web, deadline_s=LONG_S)
        assert (await over(again)).exit_code == 0
        assert b"Started" in await everything(again)
        after = await state.containers(web.name)
        assert [(c.id, c.state) for c in after] == [(c.id, "running") for c in before]

    async def test_what_somebody_has_paused_goes_on_and_can_be_brought_up_then(
        self,
        executor: ComposeExecutor,
        state: EngineState,
        project: Callable[[bytes], Project],
        pause: Callable[[Project, str], Awaitable[None]],
    ) -> None:
        two = project(compose_content("web") + compose_content("db").removeprefix(b"services:\n"))
        await over(await executor.start(token(), UP, two, deadline_s=LONG_S))
        before = await state.containers(two.name)
        await pause(two, f"{two.name.compose_name}-web-1")
        refused = await executor.start(token(), UP, two, deadline_s=LONG_S)
        assert (await over(refused)).exit_code > 0
        (paused,) = [c.id for c in await state.containers(two.name) if c.state == "paused"]
        options = ComposeOptions(containers=(paused,))
        unpaused = await executor.start(token(), UNPAUSE, two, deadline_s=LONG_S, options=options)
        assert (await over(unpaused)).exit_code == 0
        after = await state.containers(two.name)
        assert [(c.id, c.state) for c in after] == [(c.id, "running") for c in before]
        assert (
            await over(await executor.start(token(), UP, two, deadline_s=LONG_S))
        ).exit_code == 0

    async def test_one_that_is_not_paused_keeps_no_other_from_going_on(
        self,
        executor: ComposeExecutor,
        state: EngineState,
        project: Callable[[bytes], Project],
        pause: Callable[[Project, str], Awaitable[None]],
    ) -> None:
        two = project(compose_content("web") + compose_content("db").removeprefix(b"services:\n"))
        await over(await executor.start(token(), UP, two, deadline_s=LONG_S))
        await pause(two, f"{two.name.compose_name}-web-1")
        found = await state.containers(two.name)
        options = ComposeOptions(containers=tuple(c.id for c in found))
        unpaused = await executor.start(token(), UNPAUSE, two, deadline_s=LONG_S, options=options)
        assert (await over(unpaused)).exit_code > 0
        assert b"is not paused" in await everything(unpaused)
        assert [c.state for c in await state.containers(two.name)] == ["running", "running"]

    async def test_only_services_of_the_profiles_that_are_named_are_brought_up(
        self,
        executor: ComposeExecutor,
        state: EngineState,
        project: Callable[[bytes], Project],
    ) -> None:
        both = project(PROFILED_CONTENT)
        await over(await executor.start(token(), UP, both, deadline_s=LONG_S))
        assert [c.service for c in await state.containers(both.name)] == ["web"]
        options = ComposeOptions(profiles=("debug",))
        await over(await executor.start(token(), UP, both, deadline_s=LONG_S, options=options))
        assert [c.service for c in await state.containers(both.name)] == ["shell", "web"]
        down = await executor.start(token(), DOWN, both, deadline_s=LONG_S)
        assert (await over(down)).exit_code == 0
        assert not await state.containers(both.name)

    async def test_orphans_stay_unless_they_are_to_go(
        self,
        executor: ComposeExecutor,
        state: EngineState,
        project: Callable[[bytes], Project],
    ) -> None:
        await over(
            await executor.start(token(), UP, project(compose_content("old")), deadline_s=LONG_S)
        )
        new = project(compose_content("new"))
        await over(await executor.start(token(), UP, new, deadline_s=LONG_S))
        assert len(await state.containers(new.name)) == 2
        options = ComposeOptions(remove_orphans=True)
        await over(await executor.start(token(), UP, new, deadline_s=LONG_S, options=options))
        assert [c.service for c in await state.containers(new.name)] == ["new"]

    async def test_what_was_printed_is_read_in_pieces_and_is_what_the_exit_says(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        step = await executor.start(token(), UP, web, deadline_s=LONG_S)
        ended = await over(step)
        printed = await everything(step, piece=7)
        assert b"Started" in printed
        assert ended.output_bytes == len(printed)
        assert ended.output_sha256 == hashlib.sha256(printed).hexdigest()
        assert (ended.head_bytes, ended.tail_bytes) == (len(printed), 0)
        assert not ended.is_truncated
        assert await step.output(5, 3) == (5, printed[5:8])
        assert await step.output(len(printed), 10) == (len(printed), b"")

    async def test_what_is_not_kept_is_skipped(
        self, forgetful: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        step = await forgetful.start(token(), UP, web, deadline_s=LONG_S)
        ended = await over(step)
        assert ended.output_bytes > FIRST_BYTES + LAST_BYTES
        assert (ended.head_bytes, ended.tail_bytes) == (FIRST_BYTES, LAST_BYTES)
        assert ended.is_truncated
        offset, first = await step.output(0, 10_000)
        assert (offset, len(first)) == (0, FIRST_BYTES)
        offset, last = await step.output(FIRST_BYTES, 10_000)
        assert (offset, len(last)) == (ended.output_bytes - LAST_BYTES, LAST_BYTES)
        assert last.endswith(b"Started\n")
        near_the_end = ended.output_bytes - 3
        assert await step.output(near_the_end, 2) == (near_the_end, last[-3:-1])

    async def test_what_is_printed_can_be_read_while_it_runs(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        step = await waiting_step(executor, token(), project(WAITING_CONTENT))
        offset, printed = await step.output(0, 10_000)
        assert offset == 0
        assert b"Waiting" in printed
        await step.end("cancel")
        await over(step)

    async def test_waiting_again_or_by_many_gives_the_same(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        step = await executor.start(token(), BUILD, web, deadline_s=LONG_S)
        first, second = await asyncio.gather(step.wait(), step.wait())
        assert first is not None
        assert first == second == await step.wait()

    async def test_who_stops_waiting_leaves_the_step_alone(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        step = await waiting_step(executor, token(), project(WAITING_CONTENT))
        waiting = asyncio.create_task(step.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        still_waiting = asyncio.create_task(step.wait())
        await step.output(0, 1)
        assert not still_waiting.done()
        await step.end("cancel")
        assert (await over(step)).ended_by == "cancel"
        assert await still_waiting == await step.wait()

    async def test_a_step_that_is_made_to_end_says_so_and_nothing_of_it_goes_on(
        self,
        executor: ComposeExecutor,
        state: EngineState,
        project: Callable[[bytes], Project],
    ) -> None:
        waiting = project(WAITING_CONTENT)
        step = await waiting_step(executor, token(), waiting)
        await step.end("cancel")
        await step.end("deadline")
        ended = await over(step)
        assert ended.ended_by == "cancel"
        assert ended.exit_code != 0
        assert ended.output_bytes == len(await everything(step))
        running = [c.service for c in await state.containers(waiting.name) if c.state == "running"]
        assert running == ["db"]

    async def test_ending_one_that_is_over_is_harmless(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        web = project(compose_content())
        step = await executor.start(token(), BUILD, web, deadline_s=LONG_S)
        ended = await over(step)
        await step.end("cancel")
        assert await step.wait() == ended
        assert ended.ended_by == ""

    async def test_one_that_takes_too_long_ends_itself(
        self,
        executor: ComposeExecutor,
        project: Callable[[bytes], Project],
        pass_time: Callable[[float], Awaitable[None]],
    ) -> None:
        step = await executor.start(token(), UP, project(WAITING_CONTENT), deadline_s=0.5)
        await pass_time(0.5)
        ended = await over(step)
        assert ended.ended_by == "deadline"
        assert ended.exit_code != 0

    async def test_a_project_has_one_step_at_a_time_and_others_do_not_wait(
        self,
        executor: ComposeExecutor,
        another_life: Callable[[], ComposeExecutor],
        state: EngineState,
        project: Callable[[bytes], Project],
        other_project: Callable[[bytes], Project],
    ) -> None:
        waiting = project(WAITING_CONTENT)
        up = await waiting_step(executor, token(), waiting)
        down = await another_life().start(token(), DOWN, waiting, deadline_s=LONG_S)
        other = await executor.start(
            token(), BUILD, other_project(compose_content()), deadline_s=LONG_S
        )
        assert (await over(other)).exit_code == 0
        assert [c.service for c in await state.containers(waiting.name) if c.state == "running"]
        await up.end("cancel")
        await over(up)
        assert (await over(down)).exit_code == 0
        assert not await state.containers(waiting.name)

    async def test_one_that_waits_for_its_turn_can_be_ended(
        self, executor: ComposeExecutor, project: Callable[[bytes], Project]
    ) -> None:
        waiting = project(WAITING_CONTENT)
        up = await waiting_step(executor, token(), waiting)
        down = await executor.start(token(), DOWN, waiting, deadline_s=LONG_S)
        await down.end("cancel")
        ended = await over(down)
        assert (ended.ended_by, ended.output_bytes) == ("cancel", 0)
        assert ended.exit_code < 0
        await up.end("cancel")
        await over(up)
