"""What waits and runs ends as it should, also when another agent takes it over from the journal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from application.agent.damage import FORGOTTEN
from application.agent.handling import Failed
from application.agent.room import DispatchLimits
from application.agent.step_plan import StepPlan
from application.agent.steps import JobSteps
from application.ports.compose_executor import ComposeAction
from domain.commands import Command, digest_of
from domain.errors import NoSpace
from domain.events import JobCompleted, JobFailed, JobReceived
from domain.job import JobState
from domain.records import EpochBegun, JobAccepted, StepStarting
from tests.builders import compose_content, deploy, status, stop
from tests.fakes.clock import settle
from tests.fakes.machine import FakeMachine
from tests.unit.dispatching import Bench, Peer

A_FILE, ANOTHER, A_THIRD = b"services: {a: 1}", b"services: {b: 1}", b"services: {c: 1}"


@pytest.fixture
def peer() -> Peer:
    return Peer()


@contextlib.asynccontextmanager
async def held_up(
    machine: FakeMachine | None = None, limits: DispatchLimits | None = None
) -> AsyncIterator[Bench]:
    """An agent whose handlers come to no end."""
    bench = Bench(limits, machine)
    bench.handler.gate.clear()
    async with bench.running():
        yield bench


def ends(bench: Bench) -> dict[str, JobState]:
    """How the jobs have ended."""
    jobs = bench.book.ledger.jobs.values()
    return {job.job_id: job.finished.state for job in jobs if job.finished is not None}


# Order.


async def test_the_next_agent_goes_on_in_the_order_in_which_jobs_were_accepted(peer: Peer) -> None:
    async with held_up() as bench:
        bench.submit("j1", deploy("blog", A_FILE))
        bench.submit("j2", stop("blog"))
        peer.command(bench, "j3", deploy("blog", ANOTHER))
        bench.submit("k1", deploy("shop", A_FILE))
        bench.submit("j4", stop("blog"))
        await settle()
        assert bench.handler.started == [deploy("blog", A_FILE), deploy("shop", A_FILE)]
    async with Bench(machine=bench.machine).running() as again:
        await settle(200)
        of_blog = [done for done in again.handler.ended if done != deploy("shop", A_FILE)]
        assert of_blog == [deploy("blog", A_FILE), stop(), deploy("blog", ANOTHER), stop()]
        assert set(ends(again).values()) == {JobState.SUCCEEDED}
        assert again.handler.overlaps == 0


async def test_what_comes_to_the_next_agent_comes_behind_what_is_gone_on_with() -> None:
    async with held_up() as bench:
        bench.submit("j1", deploy("blog", A_FILE))
        await settle()
    async with held_up(bench.machine) as again:
        again.submit("j2", stop())
        again.submit("j3", status())
        await settle()
        assert again.handler.started == [deploy("blog", A_FILE)]
        again.handler.gate.set()
        await settle(200)
        assert again.handler.ended == [deploy("blog", A_FILE), stop(), status()]


async def test_what_is_gone_on_with_counts_as_what_waits() -> None:
    async with held_up() as bench:
        bench.submit("j1", deploy())
        await settle()
    async with held_up(bench.machine, DispatchLimits(open_jobs=1)) as again:
        again.submit("j2", stop())
        await settle()
        assert again.failure("j2").data == {"reason": "busy"}
        again.handler.gate.set()
        await settle()
        again.submit("j3", stop())
        await settle()
        assert isinstance(again.of("j3")[-1], JobCompleted)


async def test_a_job_that_has_ended_is_not_begun_again_and_its_reads_are_forgotten() -> None:
    async with Bench().running() as bench:
        bench.submit("j1", deploy())
        bench.submit("j2", status())
        await settle()
        assert len(bench.handler.ended) == 2
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert again.handler.started == []


async def test_a_read_that_came_over_v2_is_answered_by_the_next_agent(peer: Peer) -> None:
    async with held_up() as bench:
        peer.command(bench, "j1", status())
        await settle()
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert again.handler.ended == [status()]
        assert ends(again) == {"j1": JobState.SUCCEEDED}


# Superseding.


async def test_a_deployment_that_has_not_begun_is_superseded_by_a_newer_one(peer: Peer) -> None:
    async with held_up() as bench:
        peer.command(bench, "j1", deploy("blog", A_FILE))
        await settle()
        peer.command(bench, "j2", deploy("blog", ANOTHER))
        peer.command(bench, "j3", deploy("blog", A_THIRD))
        await settle()
        assert ends(bench) == {"j2": JobState.SUPERSEDED}
        assert bench.events == [
            JobFailed(
                "j2",
                "superseded by 'j3', a newer deployment of its project",
                data={"reason": "superseded", "superseded_by": "j3"},
            )
        ]
        bench.handler.gate.set()
        await settle()
        assert bench.handler.ended == [deploy("blog", A_FILE), deploy("blog", A_THIRD)]


async def test_only_deployments_of_the_same_project_that_came_over_v2_are_superseded(
    peer: Peer,
) -> None:
    async with held_up() as bench:
        bench.submit("running", stop("blog"))
        await settle()
        bench.submit("v1", deploy("blog", A_FILE))
        peer.command(bench, "stop", stop("blog"))
        peer.command(bench, "read", status("blog"))
        peer.command(bench, "other", deploy("shop", A_FILE))
        peer.command(bench, "newer", deploy("blog", ANOTHER))
        bench.submit("newest", deploy("blog", A_THIRD))
        await settle()
        assert ends(bench) == {}


async def test_superseding_is_made_up_for_by_the_next_agent(peer: Peer) -> None:
    async with held_up(limits=DispatchLimits(running_projects=1)) as bench:
        bench.submit("k1", deploy("shop"))
        await settle()
        peer.command(bench, "j1", deploy("blog", A_FILE))
        await settle()
        accepted = JobAccepted(
            "j2",
            deploy("blog", ANOTHER),
            digest_of(deploy("blog", ANOTHER)),
            bench.machine.clock.since_boot(),
            peer_seq=2,
        )
        await bench.book.record(accepted)  # The agent is killed before anything follows from it.
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert ends(again) == {
            "j1": JobState.SUPERSEDED,
            "j2": JobState.SUCCEEDED,
            "k1": JobState.SUCCEEDED,
        }
        assert deploy("blog", A_FILE) not in again.handler.started


async def test_a_deployment_that_had_begun_before_the_agent_died_is_not_superseded(
    peer: Peer,
) -> None:
    async with held_up() as bench:
        peer.command(bench, "j1", deploy("blog", A_FILE))
        await settle()
        await bench.book.record(StepStarting("j1", "validate", 1, "0" * 32, "boot-1"))
        peer.command(bench, "j2", deploy("blog", ANOTHER))
        await settle()
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert again.handler.ended == [deploy("blog", A_FILE), deploy("blog", ANOTHER)]


# Deadlines.


async def test_a_job_that_has_not_begun_by_its_deadline_expires(peer: Peer) -> None:
    async with held_up() as bench:
        bench.submit("j1", deploy("blog", A_FILE))
        await settle()
        peer.command(bench, "j2", stop(), deadline_s=10)
        await bench.machine.clock.advance(9.9)
        assert ends(bench) == {}
        await bench.machine.clock.advance(0.2)
        assert ends(bench) == {"j2": JobState.EXPIRED}
        assert bench.events[-1] == JobFailed(
            "j2", "its deadline passed before it was begun", data={"reason": "expired"}
        )
        bench.handler.gate.set()
        await settle()
        assert bench.handler.ended == [deploy("blog", A_FILE)]


async def test_a_job_that_runs_at_its_deadline_does_not_expire(peer: Peer) -> None:
    async with held_up() as bench:
        peer.command(bench, "j1", stop(), deadline_s=10)
        await bench.machine.clock.advance(20)
        assert ends(bench) == {}
        bench.handler.gate.set()
        await settle()
        assert ends(bench) == {"j1": JobState.SUCCEEDED}


async def test_a_deadline_counts_on_while_no_agent_runs(peer: Peer) -> None:
    async with held_up() as bench:
        bench.submit("j1", deploy("blog", A_FILE))
        peer.command(bench, "j2", stop(), deadline_s=10)
        await settle()
    await bench.machine.clock.advance(6)
    async with held_up(bench.machine) as again:
        await again.machine.clock.advance(3.9)
        assert ends(again) == {}
        await again.machine.clock.advance(0.2)
        assert ends(again) == {"j2": JobState.EXPIRED}


@pytest.mark.parametrize("command", [deploy(), status()])
async def test_a_job_whose_deadline_passed_while_no_agent_ran_is_not_begun(
    peer: Peer, command: Command
) -> None:
    async with held_up(limits=DispatchLimits(running_projects=1)) as bench:
        bench.submit("k1", deploy("shop"))
        await settle()
        peer.command(bench, "j1", command, deadline_s=10)
        await settle()
        assert bench.handler.started == [deploy("shop")]
    await bench.machine.clock.advance(11)
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert ends(again) == {"k1": JobState.SUCCEEDED, "j1": JobState.EXPIRED}
        assert again.handler.started == [deploy("shop")]


async def test_after_a_reboot_a_deadline_counts_anew(peer: Peer) -> None:
    async with held_up() as bench:
        bench.submit("j1", deploy("blog", A_FILE))
        peer.command(bench, "j2", stop(), deadline_s=10)
        await settle()
    await bench.machine.clock.advance(100)
    bench.machine.clock.boot_id = "boot-2"
    async with held_up(bench.machine) as again:
        await again.machine.clock.advance(9.9)
        assert ends(again) == {}
        await again.machine.clock.advance(0.2)
        assert ends(again) == {"j2": JobState.EXPIRED}


async def test_a_job_that_had_begun_before_the_agent_died_does_not_expire_while_it_waits(
    peer: Peer,
) -> None:
    async with held_up() as bench:
        bench.submit("k1", deploy("shop"))
        peer.command(bench, "j1", stop(), deadline_s=10)
        await settle()
        await bench.book.record(StepStarting("j1", "remove", 1, "0" * 32, "boot-1"))
    async with held_up(bench.machine, DispatchLimits(running_projects=1)) as again:
        await again.machine.clock.advance(20)
        assert again.handler.started == [deploy("shop")]
        assert ends(again) == {}
        again.handler.gate.set()
        await settle()
        assert ends(again) == {"k1": JobState.SUCCEEDED, "j1": JobState.SUCCEEDED}


# Cancelling.


async def test_a_job_that_waits_is_canceled_at_once(peer: Peer) -> None:
    async with held_up() as bench:
        bench.submit("j1", deploy())
        await settle()
        peer.command(bench, "j2", stop())
        peer.cancel(bench, "j2")
        await settle()
        assert ends(bench) == {"j2": JobState.CANCELED}
        assert bench.events == [
            JobReceived("j1"),
            JobFailed("j2", "canceled before it was begun", data={"reason": "canceled"}),
        ]
        bench.handler.gate.set()
        await settle()
        assert bench.handler.ended == [deploy()]


@pytest.mark.parametrize("job_id", ["over", "unknown"])
async def test_cancelling_what_is_over_or_unknown_changes_nothing(peer: Peer, job_id: str) -> None:
    async with Bench().running() as bench:
        peer.command(bench, "over", deploy())
        await settle()
        peer.cancel(bench, job_id)
        await settle()
        assert ends(bench) == {"over": JobState.SUCCEEDED}
        assert bench.admission.arriving == set()
        assert bench.book.ledger.heard == 2
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert ends(again) == {"over": JobState.SUCCEEDED}


async def test_a_cancellation_that_the_agent_died_on_is_carried_out_by_the_next_one(
    peer: Peer,
) -> None:
    async with held_up() as bench:
        bench.submit("j1", deploy())
        await settle()
        peer.command(bench, "j2", stop())
        await settle()
        bench.machine.disk.hold()
        peer.cancel(bench, "j2")
        await settle()
        assert ends(bench) == {}
        bench.machine.disk.dies_after = 1
        bench.machine.disk.release()
        await settle()
    bench.machine.disk.dies_after = None
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert ends(again) == {"j1": JobState.SUCCEEDED, "j2": JobState.CANCELED}
        assert again.handler.ended == [deploy()]


async def test_a_job_that_had_begun_before_the_agent_died_is_not_canceled_before_its_step_is_ended(
    peer: Peer,
) -> None:
    async with held_up() as bench:
        bench.submit("k1", deploy("shop"))
        peer.command(bench, "j1", stop())
        await settle()
        await bench.book.record(StepStarting("j1", "remove", 1, "0" * 32, "boot-1"))
    async with held_up(bench.machine, DispatchLimits(running_projects=1)) as again:
        peer.cancel(again, "j1")
        await settle()
        assert again.book.ledger.jobs["j1"].is_cancel_requested
        assert ends(again) == {}
        again.handler.gate.set()
        await settle()
        assert again.handler.ended == [deploy("shop"), stop()]


# A journal that was damaged.


async def test_a_job_whose_command_was_lost_has_failed_and_says_so() -> None:
    machine = FakeMachine()
    machine.disk.records = [EpochBegun("e"), StepStarting("j1", "apply", 1, "0" * 32, "boot-1")]
    machine.disk.damage = "a record could not be read"
    async with Bench(machine=machine).running() as bench:
        await settle()
        assert bench.events == [JobFailed("j1", FORGOTTEN, data={"reason": "journal_damaged"})]
        assert ends(bench) == {"j1": JobState.FAILED}
        bench.submit("j2", deploy())
        await settle()
        assert isinstance(bench.of("j2")[-1], JobCompleted)


async def test_ends_that_are_recorded_while_the_agent_is_stopped_are_told_by_the_next_one() -> None:
    async with held_up() as bench:
        bench.submit("j1", deploy())
        await settle()
        bench.machine.disk.hold()
        bench.handler.gate.set()
        await settle()
        bench.machine.disk.dies_after = 1
        bench.machine.disk.release()
        await settle()
        assert bench.events == [JobReceived("j1")]
    bench.machine.disk.dies_after = None
    async with Bench(machine=bench.machine).running() as again:
        await settle()
        assert again.handler.started == []
        assert [result.job_id for result in again.book.ledger.undelivered()] == ["j1"]


async def test_nothing_is_left_behind_by_an_agent_that_ends() -> None:
    async with held_up() as bench:
        bench.submit("j1", deploy())
        await settle()
    await settle()
    here = asyncio.current_task()
    assert [task for task in asyncio.all_tasks() if task is not here] == []


# What still runs when its job comes to another end than that.


@pytest.mark.parametrize("fails", ["raises", "outcome"])
async def test_no_step_outlives_its_job_where_the_next_agent_fails_before_it_finds_it(
    fails: str,
) -> None:
    machine = FakeMachine()
    machine.files.put("blog", compose_content())
    hanging = machine.runtime.hang("up")
    moment = machine.clock.since_boot()
    accepted = JobAccepted("j1", deploy(), digest_of(deploy()), moment)
    life = Bench(machine=machine)
    async with life.running():
        await life.book.record(accepted)
        project = await machine.files.locate(deploy().project)
        plan = StepPlan("apply", ComposeAction.UP, project, 100.0, consequence="who knows")
        steps = JobSteps("j1", None, machine.step_tools(life.book))
        applying = asyncio.create_task(steps.run(plan))
        await hanging.started.wait()
        await settle()
        applying.cancel()
        await asyncio.wait({applying})
    again = Bench(machine=machine)
    if fails == "raises":
        again.handler.raises = NoSpace("the disk is full")
    else:
        again.handler.outcome = Failed("the policy has changed")
    async with again.running():
        await settle(50)
        assert machine.runtime.cancelled == [("up", "blog")]
        assert ends(again) == {"j1": JobState.FAILED}
        assert all(one.is_over for one in again.book.ledger.jobs["j1"].attempts)
    kinds = [type(record).__name__ for record in machine.disk.records]
    assert kinds.index("StepExited") < kinds.index("JobFinished")
