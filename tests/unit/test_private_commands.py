"""What must not lie about: it is kept apart, is there again when it is needed, and goes at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from application.agent.leftovers import Leftovers
from application.agent.live_output import LiveOutput
from application.agent.room import DispatchLimits
from domain.commands import (
    Command,
    DeployCompose,
    PlanCompose,
    RegistryLogin,
    StopCompose,
    without_private,
)
from domain.content import ExtraFile
from domain.errors import StorageUnavailable
from domain.events import JobCompleted
from domain.job import JobState
from domain.policy import PERMISSIVE, Policy, policy_from_document
from domain.records import JobAccepted, JobFinished, JobRejected
from tests.builders import deploy, status, stop
from tests.fakes.clock import settle
from tests.fakes.machine import FakeMachine
from tests.unit.deploying import wish
from tests.unit.dispatching import Bench, Peer

SECRET = b"PASSWORD=hunter2\n"
LOGIN = RegistryLogin("registry.example.com", "ann", "hunter2")
PRIVATE = wish(env=SECRET, files=[ExtraFile("key.pem", b"hunter2", 0o600)], registry_auth=[LOGIN])
ONLY_STATUS: Policy = policy_from_document(
    {"preset": "permissive", "commands": {"allow": ["STATUS"]}, "projects": {"allow": ["blog"]}}
)


@pytest.fixture
def peer() -> Peer:
    return Peer()


@contextlib.asynccontextmanager
async def held_up(machine: FakeMachine | None = None) -> AsyncIterator[Bench]:
    """An agent whose handlers come to no end."""
    bench = Bench(machine=machine)
    bench.handler.gate.clear()
    async with bench.running():
        yield bench


def on_disk(machine: FakeMachine) -> str:
    """Everything that the journal holds."""
    records = machine.disk.records
    accepted = [one.command for one in records if isinstance(one, JobAccepted)]
    held = [
        (one.env, one.files, one.registry_auth)
        for one in accepted
        if isinstance(one, DeployCompose)
    ]
    return f"{records!r} {held!r}"


# Kept apart.


@pytest.mark.parametrize("protocol", [1, 2])
async def test_the_journal_is_without_it_and_the_handler_has_it(peer: Peer, protocol: int) -> None:
    async with held_up() as bench:
        if protocol == 1:
            bench.submit("j1", PRIVATE)
        else:
            peer.command(bench, "j1", PRIVATE)
        await settle()
        assert bench.handler.started == [PRIVATE]
        accepted = bench.book.ledger.jobs["j1"].accepted
        assert (accepted.command, accepted.is_private) == (without_private(PRIVATE), True)
        assert accepted.project == "blog"
        assert bench.machine.private.kept == {"j1": PRIVATE}
        assert "hunter2" not in on_disk(bench.machine)


@pytest.mark.parametrize("command", [deploy(), stop(), wish(wait=False)])
async def test_of_a_command_that_has_nothing_private_nothing_is_kept(
    command: DeployCompose | StopCompose,
) -> None:
    async with held_up() as bench:
        bench.submit("j1", command)
        await settle()
        assert bench.machine.private.kept == {}
        assert not bench.book.ledger.jobs["j1"].accepted.is_private


async def test_it_is_durable_before_the_journal_knows_of_the_job(peer: Peer) -> None:
    async with held_up() as bench:
        bench.machine.disk.hold()
        peer.command(bench, "j1", PRIVATE)
        await settle()
        assert bench.machine.private.kept == {"j1": PRIVATE}
        assert "j1" not in bench.book.ledger.jobs
        bench.machine.disk.release()
        await settle()
        assert "j1" in bench.book.ledger.jobs


@pytest.mark.parametrize("protocol", [1, 2])
async def test_where_it_cannot_be_kept_the_command_is_refused(peer: Peer, protocol: int) -> None:
    async with Bench(DispatchLimits(open_jobs=1)).running() as bench:
        bench.machine.private.is_full = True
        if protocol == 1:
            bench.submit("j1", PRIVATE)
            await settle()
            assert bench.failure("j1").data == {"reason": "no_space"}
        else:
            peer.command(bench, "j1", PRIVATE)
            await settle()
            (rejected,) = [
                one for one in bench.machine.disk.records if isinstance(one, JobRejected)
            ]
            assert rejected.reason == "no_space"
        assert bench.handler.started == []
        bench.machine.private.is_full = False
        bench.submit("j2", PRIVATE)  # Its room was given back.
        await settle()
        assert isinstance(bench.of("j2")[-1], JobCompleted)


async def test_where_the_job_cannot_be_written_down_nothing_of_it_is_kept() -> None:
    async with Bench().running() as bench:
        bench.machine.disk.is_full = True
        bench.submit("j1", PRIVATE)
        await settle()
        assert bench.failure("j1").data == {"reason": "no_space"}
        assert bench.machine.private.kept == {}


async def test_what_was_kept_before_is_not_lost_to_the_same_id_used_again(peer: Peer) -> None:
    async with held_up() as bench:
        bench.submit("j1", PRIVATE)
        await settle()
        peer.command(bench, "j1", wish(env=b"OTHER=1\n"))
        await settle()
        assert bench.machine.private.kept == {"j1": PRIVATE}


async def test_commands_of_one_project_stay_in_order_whatever_has_to_be_kept(peer: Peer) -> None:
    async with Bench().running() as bench:
        bench.submit("j1", PRIVATE)
        bench.submit("j2", stop())
        bench.submit("j3", PRIVATE)
        await settle()
        assert bench.handler.ended == [PRIVATE, stop(), PRIVATE]


# There again.


async def test_the_next_agent_has_it_again() -> None:
    async with held_up() as bench:
        bench.submit("j1", PRIVATE)
        await settle()
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert again.handler.ended == [PRIVATE]


@pytest.mark.parametrize("is_spoilt", [False, True])
async def test_where_it_is_gone_the_job_has_failed_and_nothing_is_deployed_without_it(
    is_spoilt: bool,
) -> None:
    async with held_up() as bench:
        bench.submit("j1", PRIVATE)
        await settle()
    if is_spoilt:
        bench.machine.private.spoilt.add("j1")
    else:
        bench.machine.private.kept.clear()
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert again.handler.started == []
        finished = again.book.ledger.jobs["j1"].finished
        assert finished is not None
        assert (finished.state, finished.data) == (
            JobState.FAILED,
            {"reason": "storage_unavailable"},
        )


async def test_a_plan_that_came_over_v2_has_it_too(peer: Peer) -> None:
    plan = PlanCompose(PRIVATE)
    async with Bench().running() as bench:
        peer.command(bench, "j1", plan)
        await settle()
        assert bench.handler.ended == [plan]
        assert "hunter2" not in on_disk(bench.machine)


async def test_a_plan_that_came_over_v1_is_in_no_journal() -> None:
    async with Bench().running() as bench:
        bench.submit("j1", PlanCompose(PRIVATE))
        await settle()
        assert bench.handler.ended == [PlanCompose(PRIVATE)]
        assert bench.machine.private.kept == {}


# Gone at the end.


@contextlib.asynccontextmanager
async def clearing(machine: FakeMachine, bench: Bench) -> AsyncIterator[None]:
    """What clears away, beside the bench that works."""
    leftovers = Leftovers(
        book=bench.book,
        executor=machine.executor,
        live=LiveOutput(),
        private=machine.private,
        logins=machine.logins,
    )
    await leftovers.recover()
    sweeping = asyncio.create_task(leftovers.run())
    await settle(5)
    try:
        yield
        assert not sweeping.done()
    finally:
        sweeping.cancel()
        await asyncio.wait({sweeping})


async def test_it_is_wiped_when_the_job_is_over_with_its_logins() -> None:
    async with held_up() as bench, clearing(bench.machine, bench):
        machine = bench.machine
        bench.submit("j1", PRIVATE)
        bench.submit("k1", wish(name="shop", env=SECRET))
        await settle()
        for job_id in ("j1", "k1"):
            await machine.logins.provide(job_id, [LOGIN])
        finished = JobFinished("j1", JobState.FAILED, "", "x", {}, 0.0)
        await bench.book.record(finished, must=True)
        await settle()
        assert set(machine.private.kept) == {"k1"}
        assert set(machine.logins.directories) == {"/state/logins/k1"}


async def test_what_an_agent_that_was_killed_has_left_is_wiped_by_the_next_one() -> None:
    async with held_up() as bench:
        bench.submit("open", PRIVATE)
        await settle()
        machine = bench.machine
        await machine.private.keep("never-accepted", PRIVATE)
        for job_id in ("open", "never-accepted"):
            await machine.logins.provide(job_id, [LOGIN])
    async with held_up(machine) as again, clearing(machine, again):
        assert set(machine.private.kept) == {"open"}
        assert set(machine.logins.directories) == {"/state/logins/open"}


async def test_a_disk_that_does_not_let_go_of_secrets_is_said_and_tried_by_the_next_agent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with held_up() as bench, clearing(bench.machine, bench):
        machine = bench.machine
        bench.submit("j1", PRIVATE)
        await settle()
        machine.private.fails_with = StorageUnavailable("Input/output error")
        finished = JobFinished("j1", JobState.FAILED, "", "x", {}, 0.0)
        await bench.book.record(finished, must=True)
        await settle()
        assert "job j1: its secrets cannot be wiped: Input/output error" in caplog.text
    machine.private.fails_with = None
    async with held_up(machine) as again, clearing(machine, again):
        assert machine.private.kept == {}


# What the host's policy does not let in.


async def test_over_v1_a_command_that_is_not_for_this_host_is_answered_with_the_line_to_change() -> (
    None
):
    machine = FakeMachine()
    machine.policy = ONLY_STATUS
    async with Bench(machine=machine).running() as bench:
        refused: list[Command] = [PRIVATE, status("shop"), stop()]
        for number, command in enumerate(refused):
            bench.submit(f"j{number}", command)
            await settle()
            failure = bench.failure(f"j{number}")
            assert failure.data == {"reason": "policy"}
            assert "the line to change there is" in failure.error
        bench.submit("ok", status("blog"))
        await settle()
        assert bench.handler.started == [status("blog")]
        assert (machine.private.kept, bench.book.ledger.jobs) == ({}, {})


async def test_over_v2_it_is_rejected_durably(peer: Peer) -> None:
    machine = FakeMachine()
    machine.policy = ONLY_STATUS
    async with Bench(machine=machine).running() as bench:
        peer.command(bench, "j1", PRIVATE)
        peer.command(bench, "j2", status("shop"))
        await settle()
        rejected = [one for one in machine.disk.records if isinstance(one, JobRejected)]
        assert [(one.job_id, one.reason) for one in rejected] == [
            ("j1", "policy"),
            ("j2", "policy"),
        ]
        assert (bench.handler.started, machine.private.kept) == ([], {})
        assert bench.admission.arriving == set()


async def test_a_permissive_host_takes_every_command(peer: Peer) -> None:
    machine = FakeMachine()
    assert machine.policy is PERMISSIVE
    async with Bench(machine=machine).running() as bench:
        peer.command(bench, "j1", PRIVATE)
        await settle()
        assert bench.handler.started == [PRIVATE]
