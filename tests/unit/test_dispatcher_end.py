"""What waits and is not durable is refused, and what is durable goes on when the agent starts again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from application.agent.dispatch import INTERRUPTED
from application.agent.room import DispatchLimits
from domain.events import JobCompleted, JobFailed, JobReceived
from tests.builders import deploy, status, stop
from tests.fakes.clock import settle
from tests.unit.dispatching import Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench().running() as running:
        yield running


def open_jobs(bench: Bench) -> list[str]:
    return [job.job_id for job in bench.book.ledger.open_jobs()]


async def test_draining_refuses_the_reads_that_wait_and_lets_what_runs_end(bench: Bench) -> None:
    bench.handler.gate.clear()
    bench.submit("running", deploy())
    bench.submit("health")
    await settle()
    bench.submit("waiting", status())
    bench.dispatcher.drain()
    assert bench.failure("waiting") == JobFailed(
        "waiting",
        "the agent is stopping and takes no new commands; send it again later",
        data={"reason": "draining"},
    )
    bench.handler.gate.set()
    await settle()
    assert bench.of("running")[-1] == JobCompleted("running", "done")
    assert bench.of("health")[-1] == JobCompleted("health", "done")
    assert bench.handler.started == [deploy(), bench.handler.started[1]]
    assert bench.handler.cancelled == []


async def test_what_comes_after_the_door_is_closed_is_refused(bench: Bench) -> None:
    bench.admission.close()
    bench.submit("change", deploy())
    bench.submit("read", status())
    bench.submit("health")
    await settle()
    for job_id in ("change", "read", "health"):
        assert bench.failure(job_id) == JobFailed(
            job_id,
            "the agent is stopping and takes no new commands; send it again later",
            data={"reason": "draining"},
        )
    assert bench.handler.started == []
    assert open_jobs(bench) == []


async def test_draining_leaves_the_changes_that_wait_in_the_journal(bench: Bench) -> None:
    bench.handler.gate.clear()
    bench.submit("running", deploy())
    bench.submit("waiting", stop())
    await settle()
    bench.dispatcher.drain()
    await settle()
    assert bench.of("waiting") == [JobReceived("waiting")]
    assert open_jobs(bench) == ["running", "waiting"]


async def test_draining_refuses_the_reads_of_projects_that_wait_for_their_turn() -> None:
    async with Bench(DispatchLimits(running_projects=1)).running() as bench:
        bench.handler.gate.clear()
        bench.submit("j1", deploy("a"))
        bench.submit("j2", status("b"))
        await settle()
        bench.dispatcher.drain()
        assert bench.failure("j2").data == {"reason": "draining"}
        bench.handler.gate.set()
        await settle()
        assert bench.handler.started == [deploy("a")]
        bench.submit("j3", deploy("b"))
        await settle()
        assert isinstance(bench.of("j3")[-1], JobCompleted)


async def test_a_read_that_was_refused_makes_room_for_another_command() -> None:
    async with Bench(DispatchLimits(open_jobs=2)).running() as bench:
        bench.handler.gate.clear()
        bench.submit("j1", deploy())
        bench.submit("j2", status())
        await settle()
        bench.dispatcher.drain()
        bench.submit("j3", deploy())
        await settle()
        assert bench.of("j3") == [JobReceived("j3")]


async def test_draining_an_idle_dispatcher_changes_nothing(bench: Bench) -> None:
    bench.dispatcher.drain()
    bench.submit("j1", deploy())
    await settle()
    assert bench.events == [JobReceived("j1"), JobCompleted("j1", "done")]


async def test_the_end_of_the_dispatcher_ends_reads_and_says_so() -> None:
    async with Bench().running() as bench:
        bench.handler.gate.clear()
        bench.submit("j1", status())
        bench.submit("j2")
        await settle()
    for job_id in ("j1", "j2"):
        assert bench.failure(job_id) == JobFailed(
            job_id, INTERRUPTED, data={"reason": "interrupted"}
        )
    assert len(bench.handler.cancelled) == 2


async def test_the_end_of_the_dispatcher_says_nothing_of_a_change_which_goes_on_at_the_next_start() -> (
    None
):
    async with Bench().running() as bench:
        bench.handler.gate.clear()
        bench.submit("j1", deploy())
        bench.submit("j2", stop())
        await settle()
    assert bench.events == [JobReceived("j1"), JobReceived("j2")]
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert again.events == [JobCompleted("j1", "done"), JobCompleted("j2", "done")]
        assert again.handler.ended == [deploy(), stop()]


async def test_before_it_runs_it_takes_no_command() -> None:
    bench = Bench()
    bench.submit("j1", status())
    assert bench.failure("j1").data == {"reason": "draining"}
