"""How much waits at once, and what becomes of an id that comes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from application.agent.room import DispatchLimits
from domain.commands import Command, weight_of
from domain.events import JobCompleted, JobFailed, JobReceived
from tests.builders import deploy, status, stop
from tests.fakes.clock import settle
from tests.unit.dispatching import Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench().running() as running:
        yield running


async def test_a_job_is_taken_in_again_when_the_queue_has_room_again() -> None:
    async with Bench(DispatchLimits(open_jobs=2)).running() as bench:
        bench.handler.gate.clear()
        for number in range(4):
            bench.submit(f"j{number}", deploy("blog", bytes([65 + number])))
        await settle()
        for refused in ("j2", "j3"):
            assert bench.failure(refused) == JobFailed(
                refused,
                "busy: 2 commands are waiting or running on this agent; send the command again later",
                data={"reason": "busy"},
            )
        bench.handler.gate.set()
        await settle()
        bench.submit("j4", deploy())
        await settle()
        assert bench.of("j4") == [JobReceived("j4"), JobCompleted("j4", "done")]
        assert len(bench.handler.ended) == 3


async def test_the_default_queue_takes_1024_deployments_and_refuses_the_rest() -> None:
    async with Bench().running() as bench:
        bench.handler.gate.clear()
        for number in range(1100):
            bench.submit(f"j{number}", deploy())
        await bench.admission.settled()
        refused = [event for event in bench.events if isinstance(event, JobFailed)]
        assert [event.job_id for event in refused] == [f"j{n}" for n in range(1024, 1100)]
        assert {event.data["reason"] for event in refused} == {"busy"}


async def test_what_waits_may_hold_so_many_bytes_and_no_more() -> None:
    big, small = deploy("blog", b"x" * 10_000), stop("blog")
    limits = DispatchLimits(open_bytes=weight_of(big) + weight_of(small))
    async with Bench(limits).running() as bench:
        bench.handler.gate.clear()
        bench.submit("j1", big)
        bench.submit("j2", small)
        bench.submit("j3", small)
        bench.submit("j4", big)
        await settle()
        assert [len(bench.of(f"j{n}")) for n in (1, 2, 3, 4)] == [1, 1, 2, 2]
        assert bench.failure("j3").error == (
            "busy: the commands that wait on this agent hold too much memory; "
            "send the command again later"
        )
        bench.handler.gate.set()
        await settle()
        bench.submit("j5", big)
        await settle()
        assert isinstance(bench.of("j5")[-1], JobCompleted)


async def test_a_job_that_is_over_holds_no_bytes_any_longer() -> None:
    big, small = deploy("blog", b"x" * 10_000), stop("blog")
    limits = DispatchLimits(open_bytes=weight_of(big) + weight_of(small))
    async with Bench(limits).running() as bench:
        bench.submit("j1", big)
        await settle()
        bench.handler.gate.clear()
        bench.submit("j2", small)
        bench.submit("j3", big)
        await settle()
        assert bench.of("j3") == [JobReceived("j3")]


async def test_what_is_being_written_down_counts_as_what_waits() -> None:
    async with Bench(DispatchLimits(open_jobs=2)).running() as bench:
        bench.machine.disk.hold()
        for number in range(3):
            bench.submit(f"j{number}", deploy())
        await settle()
        bench.submit("read", status())
        await settle()
        bench.machine.disk.release()
        await settle()
        assert bench.failure("j2").data == {"reason": "busy"}
        assert bench.failure("read").data == {"reason": "busy"}


async def test_what_could_not_be_written_down_makes_room_again() -> None:
    async with Bench(DispatchLimits(open_jobs=1)).running() as bench:
        bench.machine.disk.is_full = True
        bench.submit("j1", deploy())
        await settle()
        assert bench.failure("j1").data == {"reason": "no_space"}
        bench.machine.disk.is_full = False
        bench.submit("j2", deploy())
        await settle()
        assert isinstance(bench.of("j2")[-1], JobCompleted)


async def test_a_command_that_passes_the_bound_alone_is_taken_when_nothing_else_waits() -> None:
    async with Bench(DispatchLimits(open_bytes=10)).running() as bench:
        bench.submit("j1", deploy())
        await settle()
        assert isinstance(bench.of("j1")[-1], JobCompleted)


async def test_the_same_command_sent_again_while_it_runs_starts_nothing_and_is_answered_once(
    bench: Bench,
) -> None:
    bench.handler.gate.clear()
    bench.submit("j1", deploy())
    await settle()
    bench.submit("j1", deploy())
    bench.handler.gate.set()
    await settle()
    assert bench.events == [JobReceived("j1"), JobReceived("j1"), JobCompleted("j1", "done")]
    assert bench.handler.started == [deploy()]


async def test_the_same_command_sent_again_while_it_waits_starts_nothing_either(
    bench: Bench,
) -> None:
    bench.handler.gate.clear()
    bench.submit("j0", deploy())
    bench.submit("j1", stop())
    bench.submit("j1", stop())
    bench.handler.gate.set()
    await settle()
    assert bench.handler.ended == [deploy(), stop()]


@pytest.mark.parametrize("other", [deploy("blog", b"other"), deploy("shop"), stop("blog")])
async def test_another_command_under_an_id_that_runs_is_a_conflict(
    bench: Bench, other: Command
) -> None:
    bench.handler.gate.clear()
    bench.submit("j1", deploy())
    await settle()
    bench.submit("j1", other)
    await settle()
    assert bench.of("j1")[-1] == JobFailed(
        "j1",
        "id: 'j1' belongs to another command, which was sent before",
        data={"reason": "conflict"},
    )
    assert bench.handler.started == [deploy()]
    bench.handler.gate.set()
    await settle()
    assert bench.of("j1")[-1] == JobCompleted("j1", "done")


async def test_two_reads_under_one_id_are_both_answered(bench: Bench) -> None:
    bench.submit("j1", status())
    bench.submit("j1")
    bench.submit("j1")
    await settle()
    assert Counter(type(event) for event in bench.events) == {JobReceived: 3, JobCompleted: 3}


async def test_the_same_command_sent_again_when_it_is_over_starts_nothing_and_is_told_its_result(
    bench: Bench,
) -> None:
    for _ in range(2):
        bench.submit("j1", deploy())
        await settle()
    assert bench.handler.ended == [deploy()]
    assert bench.events == 2 * [JobReceived("j1"), JobCompleted("j1", "done")]


async def test_the_id_of_a_read_that_is_over_may_be_used_again(bench: Bench) -> None:
    for command in (status(), stop()):
        bench.submit("j1", command)
        await settle()
    assert bench.handler.ended == [status(), stop()]
