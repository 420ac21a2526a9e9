"""What steps have printed is kept as long as somebody may want to read it, and no longer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from application.agent.job_book import JobBook
from application.agent.leftovers import Leftovers
from application.agent.live_output import LiveOutput
from application.agent.step_plan import StepPlan
from application.agent.steps import JobSteps
from application.ports.compose_executor import ComposeAction
from domain.errors import StorageUnavailable
from domain.records import PeerConfirmed, ResultsDelivered, StepStarting
from tests.builders import compose_content
from tests.fakes.clock import settle
from tests.fakes.compose_runtime import Scripted
from tests.fakes.machine import FakeMachine
from tests.unit.histories import accepted, finished


class Life:
    """One life of an agent, as far as it concerns what steps leave."""

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.book: JobBook = machine.book()
        self.live = LiveOutput()
        self.leftovers = Leftovers(
            book=self.book,
            executor=machine.executor,
            live=self.live,
            private=machine.private,
            logins=machine.logins,
        )

    async def run_step(self, job_id: str, name: str = "remove", *, seq: int | None = None) -> None:
        """Accept a job, where it is new, and carry one step of it out."""
        if job_id not in self.book.ledger.jobs:
            await self.book.record(accepted(job_id, seq=seq))
        steps = JobSteps(job_id, None, self.machine.step_tools(self.book, self.live))
        await steps.run(await self.plan(name))

    async def plan(self, name: str = "remove") -> StepPlan:
        project = self.machine.files.put("blog", compose_content())
        return StepPlan(name, ComposeAction.DOWN, project, 100.0, consequence="who knows")

    def tokens(self, job_id: str) -> list[str]:
        return [attempt.token for attempt in self.book.ledger.jobs[job_id].attempts]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Life]:
        await self.book.open()
        await self.leftovers.recover()
        sweeping = asyncio.create_task(self.leftovers.run())
        await settle(5)
        try:
            yield self
            assert not sweeping.done()
        finally:
            sweeping.cancel()
            await asyncio.wait({sweeping})


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


async def test_output_is_kept_until_the_result_is_delivered_and_then_cleared_away(
    machine: FakeMachine,
) -> None:
    async with Life(machine).running() as life:
        await life.run_step("j1", "first")
        await life.run_step("j1", "second")
        await life.book.record(finished("j1"), must=True)
        await settle()
        first, second = life.tokens("j1")
        assert set(machine.executor.runs) == {first, second}
        assert [step.step for step in life.live.steps("j1")] == ["first", "second"]
        await life.book.record(ResultsDelivered(("j1",)), must=True)
        await settle()
        assert machine.executor.discarded == [first, second]
        assert life.live.jobs() == ()


async def test_it_is_cleared_away_when_a_peer_of_v2_confirms_the_result_too(
    machine: FakeMachine,
) -> None:
    async with Life(machine).running() as life:
        await life.run_step("j1", seq=1)
        await life.book.record(finished("j1"), must=True)
        await life.book.record(PeerConfirmed(1), must=True)
        await settle()
        assert machine.executor.discarded == []
        await life.book.record(PeerConfirmed(2), must=True)
        await settle()
        assert machine.executor.discarded == life.tokens("j1")


async def test_what_belongs_to_other_jobs_stays(machine: FakeMachine) -> None:
    async with Life(machine).running() as life:
        for job_id in ("j1", "j2"):
            await life.run_step(job_id)
            await life.book.record(finished(job_id), must=True)
        await life.book.record(ResultsDelivered(("j1",)), must=True)
        await settle()
        assert set(machine.executor.runs) == set(life.tokens("j2"))
        assert life.live.jobs() == ("j2",)


async def test_attempts_that_were_killed_are_cleared_away_too(machine: FakeMachine) -> None:
    machine.runtime.script("down", Scripted(exit_code=-9))
    async with Life(machine).running() as life:
        await life.run_step("j1")
        await life.book.record(finished("j1"), must=True)
        await life.book.record(ResultsDelivered(("j1",)), must=True)
        await settle()
        assert machine.executor.discarded == life.tokens("j1")
        assert len(machine.executor.discarded) == 2


async def test_the_next_agent_finds_the_output_of_results_that_wait(machine: FakeMachine) -> None:
    machine.runtime.script("down", Scripted(exit_code=1, output=b"printed\n"))
    async with Life(machine).running() as life:
        await life.run_step("j1", "first")
        await life.run_step("j1", "second")
        await life.book.record(finished("j1"), must=True)
    async with Life(machine).running() as again:
        first, second = again.live.steps("j1")
        assert (first.step, first.attempt, second.step) == ("first", 1, "second")
        assert await first.running.output(0, 100) == (0, b"printed\n")
        await again.book.record(ResultsDelivered(("j1",)), must=True)
        await settle()
        assert machine.executor.runs == {}


async def test_the_next_agent_finds_the_output_of_steps_that_are_over_of_a_job_that_goes_on(
    machine: FakeMachine,
) -> None:
    async with Life(machine).running() as life:
        await life.run_step("j1", "first")
    async with Life(machine).running() as again:
        assert [step.step for step in again.live.steps("j1")] == ["first"]
        await again.run_step("j1", "first")
        await again.run_step("j1", "second")
        assert [step.step for step in again.live.steps("j1")] == ["first", "second"]


async def test_the_next_agent_does_not_look_for_a_step_that_may_be_about_to_start(
    machine: FakeMachine,
) -> None:
    """Looking for it would keep it from ever starting, and is its job's to do."""
    async with Life(machine).running() as life:
        await life.book.record(accepted("j1"))
        token = machine.token()
        await life.book.record(StepStarting("j1", "remove", 1, token, "boot-1"))
    async with Life(machine).running() as again:
        plan = await again.plan()
        await machine.executor.start(token, plan.action, plan.project, deadline_s=10)
        assert machine.executor.starts == [(token, ComposeAction.DOWN, "blog")]
        await settle()


async def test_the_next_agent_clears_away_what_the_last_one_did_not_come_to(
    machine: FakeMachine,
) -> None:
    async with Life(machine).running() as life:
        await life.run_step("delivered")
        await life.book.record(finished("delivered"), must=True)
        await life.run_step("waiting")
        await life.book.record(finished("waiting"), must=True)
        plan = await life.plan()
        await machine.executor.start("f" * 32, plan.action, plan.project, deadline_s=10)
        await settle()
    machine.disk.keep(ResultsDelivered(("delivered",)))
    async with Life(machine).running() as again:
        assert set(machine.executor.runs) == set(again.tokens("waiting"))
        assert again.live.jobs() == ("waiting",)


async def test_what_still_runs_and_belongs_to_nobody_is_left_alone_and_said(
    machine: FakeMachine, caplog: pytest.LogCaptureFixture
) -> None:
    life = Life(machine)
    plan = await life.plan()
    down = machine.runtime.hang("down")
    await machine.executor.start("f" * 32, plan.action, plan.project, deadline_s=10)
    await down.started.wait()
    async with life.running():
        assert set(machine.executor.runs) == {"f" * 32}
        assert "what a step has printed cannot be removed" in caplog.text
    down.release.set()
    await settle()


async def test_a_disk_that_does_not_let_go_of_output_is_said_and_keeps_nothing_from_going_on(
    machine: FakeMachine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_token: str) -> None:
        raise StorageUnavailable("Input/output error")

    async with Life(machine).running() as life:
        monkeypatch.setattr(machine.executor, "discard", refuse)
        for job_id in ("j1", "j2"):
            await life.run_step(job_id)
            await life.book.record(finished(job_id), must=True)
        await life.book.record(ResultsDelivered(("j1", "j2")), must=True)
        await settle()
        assert caplog.text.count("cannot be removed: Input/output error") == 2
        assert life.live.jobs() == ()
