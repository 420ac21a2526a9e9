"""Simulated agents that speak protocol v1, against the reference control plane."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.fleet.agent import Agent
from tests.fleet.checking import Terms, compare
from tests.fleet.fleet import Fleet
from tests.fleet.memory import Memory
from tests.fleet.pace import Pace
from tests.fleet.reading import jobs_of
from tests.fleet.scripts import SCRIPTS, JobPlan, Leave, Manners, Moment, Outcome, Script, always
from tests.fleet.upgrade import BOTH, V1
from tests.support.control_plane import deploy_payload
from tests.support.peer_database import PeerDatabase
from tests.support.reference_peer import ReferencePeer

QUICK = Pace(first_s=0.01)


@contextlib.asynccontextmanager
async def rig(
    plan: Script | JobPlan | None = None,
    *,
    manners: Manners | None = None,
    offer: tuple[str, ...] = (V1,),
    subprotocol: str | None = V1,
) -> AsyncIterator[tuple[PeerDatabase, ReferencePeer, Fleet, Agent]]:
    database = PeerDatabase()
    async with (
        ReferencePeer(database, subprotocol=subprotocol) as peer,
        Fleet(peer.url, pace=QUICK) as fleet,
    ):
        script = plan if callable(plan) else always(plan or JobPlan())
        agent = fleet.add(
            Memory(bearer_token="a-token"),
            name="one",
            script=script,
            manners=manners or Manners(),
            offer=offer,
        )
        yield database, peer, fleet, agent


async def deploy(peer: ReferencePeer, project: str = "blog") -> str:
    return await peer.submit("DEPLOY_COMPOSE", deploy_payload(project, "services: {}"))


def states(database: PeerDatabase, fleet: Fleet) -> list[str]:
    """Faults, where output is not compared: v1 has none."""
    fleet.check()
    database.check()
    jobs = [
        type(job)(job.job_id, job.host_id, job.kind, job.state, job.reason)
        for job in jobs_of(database)
    ]
    return compare(jobs, fleet.ledgers)


@pytest.mark.parametrize(
    ("offer", "subprotocol"), [((V1,), V1), ((), None), (BOTH, V1), (BOTH, None)]
)
async def test_v1_is_spoken_where_it_is_chosen(
    offer: tuple[str, ...], subprotocol: str | None
) -> None:
    async with rig(offer=offer, subprotocol=subprotocol) as (database, peer, fleet, agent):
        job_id = await deploy(peer)
        final = await peer.final(job_id)
        assert final["status"] == "COMPLETED"
        assert states(database, fleet) == []
        await fleet.until(
            lambda: agent.memory.jobs[job_id].is_delivered or None, "the pong that confirms"
        )
        assert fleet.ledgers[0].protocol == 1


@pytest.mark.parametrize("name", ["succeed", "fail", "reject"])
async def test_jobs_end_as_planned(name: str) -> None:
    async with rig(SCRIPTS[name]) as (database, peer, fleet, _):
        for job_id in [await deploy(peer, f"p{n}") for n in range(10)]:
            await peer.final(job_id)
        assert states(database, fleet) == []


async def test_a_result_that_was_not_confirmed_is_sent_again() -> None:
    plan = JobPlan(leave=Leave(Moment.AFTER_RESULT))
    async with rig(plan) as (database, peer, fleet, _):
        job_id = await deploy(peer)
        await database.until(
            lambda: (database.jobs[job_id].duplicates == 1) or None, "the result to come again"
        )
        assert states(database, fleet) == []


async def test_a_naive_agent_loses_a_result_that_was_not_sent() -> None:
    plan = JobPlan(leave=Leave(Moment.BEFORE_RESULT))
    async with rig(plan, manners=Manners(is_naive=True)) as (database, peer, fleet, agent):
        job_id = await deploy(peer)
        await fleet.until(lambda: fleet.counts["v1 results forgotten"] or None, "the second link")
        agent.ledger.host_id = "host"
        told = list(jobs_of(database, "host"))
        assert database.jobs[job_id].state == "accepted"
        assert len(compare(told, fleet.ledgers)) == 1
        assert compare(told, fleet.ledgers, Terms(naive=frozenset({"host"}))) == []


async def test_the_same_command_again_is_answered_and_done_once() -> None:
    async with rig() as (database, peer, fleet, _):
        first = await deploy(peer)
        await peer.final(first)
        command = database.jobs[first].command
        assert command is not None
        await peer.submit("DEPLOY_COMPOSE", command["payload"], job_id=first)
        await database.until(lambda: database.jobs[first].duplicates or None, "the result again")
        assert fleet.ledgers[0].deeds[first].commands == 2
        assert states(database, fleet) == []


async def test_a_naive_agent_does_again_what_is_sent_again() -> None:
    async with rig(manners=Manners(is_naive=True)) as (database, peer, fleet, agent):
        first = await deploy(peer)
        await peer.final(first)
        await fleet.until(lambda: not agent.memory.jobs or None, "the pong after which it forgets")
        command = database.jobs[first].command
        assert command is not None
        await peer.submit("DEPLOY_COMPOSE", command["payload"], job_id=first)
        await database.until(lambda: database.jobs[first].duplicates or None, "the result again")
        assert fleet.ledgers[0].deeds[first].begun == 2
        assert len(states(database, fleet)) == 1


async def test_v1_after_v2_begins_a_new_epoch_and_loses_nothing() -> None:
    database = PeerDatabase()
    async with (
        ReferencePeer(database) as peer,
        Fleet(peer.url, pace=QUICK) as fleet,
        asyncio.timeout(30),
    ):
        agent = fleet.add(
            Memory(bearer_token="t"), name="one", script=always(JobPlan(Outcome.WAIT))
        )
        job_id = await deploy(peer)
        await peer.accepted(job_id)
        epoch = agent.memory.epoch
        await peer.crash()
        fleet.release()
        async with ReferencePeer(database, peer.port, subprotocol=V1) as plain:
            await plain.final(job_id)
            assert agent.memory.epoch != epoch
            fleet.check()
