"""The engine goes down under a step: a deployment's is tried again when it is back."""

from __future__ import annotations

import asyncio

import pytest

from application.agent.live_output import LiveOutput
from application.agent.step_plan import StepPlan, StepReport
from application.agent.steps import JobSteps
from application.ports.compose_executor import ComposeAction
from domain.commands import digest_of
from domain.errors import RuntimeUnavailable
from domain.records import JobAccepted
from tests.builders import compose_content, deploy
from tests.fakes.clock import settle
from tests.fakes.compose_runtime import Scripted
from tests.fakes.machine import FakeMachine

LOST = b"error during connect: EOF\n"


@pytest.fixture
def machine() -> FakeMachine:
    machine = FakeMachine()
    machine.files.put("blog", compose_content())
    return machine


async def begin(
    machine: FakeMachine, action: ComposeAction = ComposeAction.UP
) -> asyncio.Task[StepReport]:
    """A life of an agent that carries a step out, as far as it goes by itself."""
    book = machine.book()
    await book.open()
    command = deploy()
    moment = machine.clock.since_boot()
    await book.record(JobAccepted("j1", command, digest_of(command), moment))
    steps = JobSteps("j1", None, machine.step_tools(book, LiveOutput()))
    project = await machine.files.locate(command.project)
    plan = StepPlan("apply", action, project, 100.0, consequence="who knows")
    running = asyncio.create_task(steps.run(plan))
    await settle()
    return running


async def test_it_is_waited_for_and_the_step_is_tried_again(machine: FakeMachine) -> None:
    machine.runtime.script("up", Scripted(exit_code=1, output=LOST))
    machine.lose_engine()
    running = await begin(machine)
    assert not running.done()
    machine.find_engine()
    await machine.clock.advance(2)
    assert (await running).failure is None
    assert len(machine.executor.starts) == 2
    # What the engine was asked for before is given time.
    assert machine.names.settled == ["blog"]


async def test_an_agent_that_starts_again_finds_both_attempts(machine: FakeMachine) -> None:
    machine.runtime.script("up", Scripted(exit_code=1, output=LOST))
    machine.lose_engine()
    running = await begin(machine)
    machine.find_engine()
    await machine.clock.advance(2)
    first = await running
    assert await (await begin(machine)) == first
    assert len(machine.executor.starts) == 2


async def test_where_it_stays_down_that_is_said(machine: FakeMachine) -> None:
    machine.runtime.script("up", Scripted(exit_code=1, output=LOST))
    machine.lose_engine()
    running = await begin(machine)
    for _ in range(101):
        await machine.clock.advance(1)
    with pytest.raises(RuntimeUnavailable):
        await running


async def test_a_failure_of_an_engine_that_answers_is_a_failure(machine: FakeMachine) -> None:
    machine.runtime.script("up", Scripted(exit_code=1, output=b"no such image\n"))
    report = await (await begin(machine))
    assert report.failure is not None
    assert len(machine.executor.starts) == 1


async def test_who_stops_a_project_is_not_kept_waiting(machine: FakeMachine) -> None:
    machine.runtime.script("down", Scripted(exit_code=1, output=LOST))
    machine.lose_engine()
    report = await (await begin(machine, ComposeAction.DOWN))
    assert report.failure is not None
    assert report.failure.data["reason"] == "compose_failed"
    assert len(machine.executor.starts) == 1
