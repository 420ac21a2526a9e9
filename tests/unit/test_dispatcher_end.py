"""No new commands, a bounded time for running ones, and an answer for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from application.agent.dispatch import INTERRUPTED, DispatchLimits
from domain.events import JobCompleted, JobFailed
from tests.builders import deploy, status, stop
from tests.fakes.clock import settle
from tests.unit.dispatching import Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench().running() as running:
        yield running


async def test_draining_refuses_what_waits_and_what_comes_and_lets_running_jobs_end(
    bench: Bench,
) -> None:
    bench.handler.gate.clear()
    bench.submit("running", deploy())
    bench.submit("health")
    await settle()
    bench.submit("waiting", stop())
    draining = asyncio.create_task(bench.dispatcher.drain(asyncio.Event()))
    await settle()
    bench.submit("late", status())
    for job_id in ("waiting", "late"):
        assert bench.failure(job_id) == JobFailed(
            job_id,
            "the agent is stopping and takes no new commands; send it again later",
            data={"reason": "draining"},
        )
    assert not draining.done()
    bench.handler.gate.set()
    await settle()
    assert draining.done()
    assert bench.of("running")[-1] == JobCompleted("running", "done")
    assert bench.of("health")[-1] == JobCompleted("health", "done")
    assert bench.handler.cancelled == []


async def test_draining_refuses_projects_that_wait_for_their_turn() -> None:
    async with Bench(DispatchLimits(running_projects=1)).running() as bench:
        bench.handler.gate.clear()
        bench.submit("j1", deploy("a"))
        bench.submit("j2", deploy("b"))
        await settle()
        draining = asyncio.create_task(bench.dispatcher.drain(asyncio.Event()))
        await settle()
        assert bench.failure("j2").data == {"reason": "draining"}
        bench.handler.gate.set()
        await settle()
        assert draining.done()
        assert bench.handler.started == [deploy("a")]


async def test_draining_an_idle_dispatcher_is_done_at_once(bench: Bench) -> None:
    await bench.dispatcher.drain(asyncio.Event())


async def test_draining_ends_when_patience_does(bench: Bench) -> None:
    bench.handler.gate.clear()
    bench.submit("j1", deploy())
    await settle()
    patience = asyncio.Event()
    draining = asyncio.create_task(bench.dispatcher.drain(patience))
    await settle()
    assert not draining.done()
    patience.set()
    await settle()
    assert draining.done()
    assert bench.handler.running == 1


async def test_the_end_of_the_dispatcher_ends_running_jobs_and_says_so() -> None:
    async with Bench().running() as bench:
        bench.handler.gate.clear()
        bench.submit("j1", deploy())
        bench.submit("j2")
        await settle()
    for job_id in ("j1", "j2"):
        assert bench.failure(job_id) == JobFailed(
            job_id, INTERRUPTED, data={"reason": "interrupted"}
        )
    assert len(bench.handler.cancelled) == 2


async def test_before_it_runs_it_takes_no_command() -> None:
    bench = Bench()
    bench.submit("j1", deploy())
    assert bench.failure("j1").data == {"reason": "draining"}
