"""Which command runs when, and that each gets its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.agent.handling import Failed
from application.agent.room import DispatchLimits
from domain.commands import Command
from domain.errors import InvalidInput, NotFound, RemoteProtocolViolation, UnknownCommand
from domain.events import JobCompleted, JobFailed, JobReceived
from domain.messages import MalformedMessage, RefusedRequest
from tests.builders import deploy, status, stop
from tests.fakes.clock import settle
from tests.unit.dispatching import Bench

SECRET = "hunter2"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench().running() as running:
        yield running


async def test_a_read_is_received_at_once_and_ended_once(bench: Bench) -> None:
    bench.submit("j1", status())
    assert bench.events == [JobReceived("j1")]
    await settle()
    assert bench.events == [JobReceived("j1"), JobCompleted("j1", "done")]


async def test_a_change_is_received_and_begun_once_it_is_durable_and_ended_once(
    bench: Bench,
) -> None:
    bench.machine.disk.hold()
    bench.submit("j1", deploy())
    await settle()
    assert (bench.events, bench.handler.started) == ([], [])
    bench.machine.disk.release()
    await settle()
    assert bench.events == [JobReceived("j1"), JobCompleted("j1", "done")]


async def test_the_end_of_a_change_is_durable_before_anybody_is_told(bench: Bench) -> None:
    bench.handler.gate.clear()
    bench.submit("j1", deploy())
    await settle()
    bench.machine.disk.hold()
    bench.handler.gate.set()
    await settle()
    assert (bench.events, bench.handler.ended) == ([JobReceived("j1")], [deploy()])
    bench.machine.disk.release()
    await settle()
    assert bench.events == [JobReceived("j1"), JobCompleted("j1", "done")]


async def test_the_handlers_failure_is_reported_with_its_output(bench: Bench) -> None:
    bench.handler.outcome = Failed("up failed", "no such image", "pulling", {"exit_code": 18})
    bench.submit("j1", deploy())
    await settle()
    assert bench.failure("j1") == JobFailed(
        "j1", "up failed: no such image", "pulling", {"exit_code": 18}
    )


async def test_a_refusal_of_the_handler_says_its_reason_in_data(bench: Bench) -> None:
    bench.handler.raises = NotFound("project 'blog' does not exist on this host")
    bench.submit("j1", stop())
    await settle()
    assert bench.failure("j1") == JobFailed(
        "j1", "project 'blog' does not exist on this host", data={"reason": "not_found"}
    )


async def test_a_refusal_that_names_a_field_says_it_in_data(bench: Bench) -> None:
    bench.handler.raises = InvalidInput("compose_file_base64", "is no good")
    bench.submit("j1", deploy())
    await settle()
    assert bench.failure("j1") == JobFailed(
        "j1",
        "compose_file_base64: is no good",
        data={"reason": "invalid_input", "field": "compose_file_base64"},
    )


async def test_a_refused_request_is_received_and_then_failed_without_a_handler(
    bench: Bench,
) -> None:
    bench.take(RefusedRequest("j1", UnknownCommand("REBOOT")))
    assert bench.failure("j1") == JobFailed(
        "j1",
        "Unknown command type: REBOOT",
        data={"reason": "unknown_command", "field": "type"},
    )
    assert bench.handler.started == []


async def test_a_malformed_message_gets_one_failure_only(bench: Bench) -> None:
    error = RemoteProtocolViolation("message: is not valid UTF-8")
    bench.take(MalformedMessage("unknown", error))
    assert bench.events == [
        JobFailed("unknown", "message: is not valid UTF-8", data={"reason": "protocol_remote"})
    ]


async def test_one_projects_commands_run_one_after_another_in_their_order(bench: Bench) -> None:
    commands: list[Command] = [
        deploy("blog", b"1"),
        stop("blog"),
        status("blog"),
        deploy("blog", b"2"),
    ]
    for number, command in enumerate(commands):
        bench.submit(f"j{number}", command)
    await settle()
    assert bench.handler.ended == commands
    assert (bench.handler.most_at_once, bench.handler.overlaps) == (1, 0)


async def test_a_failure_does_not_hold_up_the_projects_next_command(bench: Bench) -> None:
    bench.handler.raises = NotFound("gone")
    bench.submit("j1", stop())
    bench.submit("j2", stop())
    await settle()
    assert len(bench.handler.ended) == 2


async def test_two_spellings_of_one_compose_project_take_turns(bench: Bench) -> None:
    bench.handler.gate.clear()
    bench.submit("j1", deploy("MyApp"))
    bench.submit("j2", deploy("myapp"))
    await settle()
    assert bench.handler.running == 1


async def test_different_projects_run_at_once_up_to_the_bound_and_then_in_order() -> None:
    async with Bench(DispatchLimits(running_projects=2)).running() as bench:
        bench.handler.gate.clear()
        for name in "abcd":
            bench.submit(f"j-{name}", deploy(name))
        await settle()
        assert bench.handler.started == [deploy("a"), deploy("b")]
        bench.handler.gate.set()
        await settle()
        assert bench.handler.ended == [deploy(name) for name in "abcd"]
        assert bench.handler.most_at_once == 2


async def test_a_busy_project_does_not_hold_up_another(bench: Bench) -> None:
    bench.handler.gate.clear()
    bench.submit("j1", deploy("a"))
    bench.submit("j2", deploy("a", b"again"))
    bench.submit("j3", deploy("b"))
    await settle()
    assert bench.handler.started == [deploy("a"), deploy("b")]


async def test_commands_without_a_project_need_no_turn() -> None:
    async with Bench(DispatchLimits(running_projects=1)).running() as bench:
        bench.handler.gate.clear()
        bench.submit("j1", deploy())
        for number in range(20):
            bench.submit(f"h{number}")
        await settle()
        assert bench.handler.running == 21


async def test_a_bug_in_a_handler_fails_its_job_and_nothing_else(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.handler.raises = ZeroDivisionError(SECRET)
    bench.submit("j1", deploy())
    bench.submit("j2", status())
    bench.submit("j3")
    await settle()
    for job_id in ("j1", "j2", "j3"):
        assert bench.failure(job_id) == JobFailed(
            job_id,
            "the agent failed to carry this out because of an internal error; its log says more",
            data={"reason": "internal"},
        )
    assert "job j1: DeployCompose broke; this is a bug" in caplog.text
    bench.handler.raises = None
    bench.submit("j4", deploy())
    await settle()
    assert isinstance(bench.of("j4")[-1], JobCompleted)


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(["deploy", "stop", "status", "health"]),
        st.sampled_from(["a", "A", "b", "c"]),
        st.booleans(),
    ),
    max_size=25,
)


@given(COMMANDS, st.integers(1, 8), st.integers(1, 3))
def test_whatever_comes_each_command_is_answered_once_and_no_project_runs_twice_at_once(
    commands: list[tuple[str, str, bool]], open_jobs: int, running_projects: int
) -> None:
    builders: dict[str, Callable[[str], Command]]
    builders = {"deploy": deploy, "stop": stop, "status": status}

    async def play() -> Bench:
        limits = DispatchLimits(open_jobs=open_jobs, running_projects=running_projects)
        async with Bench(limits).running() as bench:
            for number, (verb, name, pauses) in enumerate(commands):
                bench.submit(f"j{number}", builders[verb](name) if verb in builders else None)
                if pauses:
                    await asyncio.sleep(0)
            for _ in range(100):
                await settle()
                if len(bench.events) == 2 * len(commands):
                    break
        return bench

    bench = asyncio.run(play())
    for number in range(len(commands)):
        received, final = bench.of(f"j{number}")
        assert received == JobReceived(f"j{number}")
        assert isinstance(final, JobCompleted | JobFailed)
    assert bench.handler.overlaps == 0
