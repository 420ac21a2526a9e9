"""Simulated agents on links of protocol v2, against the reference control plane, which is strict."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from tests.fleet.agent import Agent
from tests.fleet.checking import compare
from tests.fleet.fleet import Fleet
from tests.fleet.memory import Memory
from tests.fleet.pace import Pace
from tests.fleet.reading import jobs_of
from tests.fleet.scripts import (
    SCRIPTS,
    JobPlan,
    Leave,
    Manners,
    Moment,
    Outcome,
    Script,
    always,
)
from tests.fleet.window import MAX_OUTPUT_UNDER_WAY
from tests.support.control_plane import deploy_payload
from tests.support.peer_database import PeerDatabase
from tests.support.peer_terms import Faults, Terms
from tests.support.reference_peer import ReferencePeer

QUICK = Pace(first_s=0.01, refused_s=0.01)
PRINTED_ALL = {"step": "apply", "attempt": 1, "offset": 1 << 20}


class Rig:
    """One agent and its control plane."""

    def __init__(self, database: PeerDatabase, peer: ReferencePeer, fleet: Fleet) -> None:
        self.database = database
        self.peer = peer
        self.fleet = fleet
        self._generation = 0

    @property
    def agent(self) -> Agent:
        return self.fleet.agents[0]

    def add(self, script: Script | JobPlan | None = None, manners: Manners | None = None) -> Agent:
        plan = script if callable(script) else always(script or JobPlan())
        memory = Memory(bearer_token="a-token")
        return self.fleet.add(memory, name="one", script=plan, manners=manners or Manners())

    async def deploy(self, project: str = "blog") -> str:
        self._generation += 1
        payload = deploy_payload(project, "services: {}")
        return await self.peer.submit("DEPLOY_COMPOSE", payload, generation=self._generation)

    async def settled(self, *job_ids: str) -> None:
        for job_id in job_ids or list(self.database.jobs):
            is_told = partial(self._is_told, job_id)
            await self.database.until(is_told, f"the end of {job_id}")

    def _is_told(self, job_id: str) -> bool | None:
        job = self.database.jobs[job_id]
        return (job.is_settled and (job.has_all_output or not job.finals)) or None

    def check(self) -> None:
        """Both sides have kept to the protocol, and tell the same."""
        self.database.check()
        self.fleet.check()
        assert compare(jobs_of(self.database), self.fleet.ledgers) == []


@contextlib.asynccontextmanager
async def rig(
    *, faults: Faults | None = None, terms: Terms | None = None, keeping: Path | None = None
) -> AsyncIterator[Rig]:
    database = PeerDatabase()
    async with (
        ReferencePeer(database, faults=faults, terms=terms) as peer,
        Fleet(peer.url, pace=QUICK, keeping=keeping) as fleet,
    ):
        yield Rig(database, peer, fleet)


async def test_an_agent_takes_a_job_and_tells_its_end() -> None:
    async with rig() as it:
        it.add(JobPlan(output_bytes=70_000, chunk_bytes=1000))
        job_id = await it.deploy()
        final = await it.peer.final(job_id)
        await it.settled()
        it.check()
        assert final["state"] == "succeeded"
        assert it.fleet.ledgers[0].deeds[job_id].accepted_at > 0
        assert it.database.seen == {}
        assert it.fleet.counts["welcomed"] == 1


@pytest.mark.parametrize(
    ("plan", "state"),
    [
        (JobPlan(Outcome.FAIL, reason="unhealthy"), "failed"),
        (JobPlan(Outcome.REJECT, reason="policy"), "rejected"),
        (JobPlan(after_s=0.01, output_bytes=9000, chunk_bytes=3000, is_text=False), "succeeded"),
        (JobPlan(output_bytes=1 << 20), "succeeded"),
    ],
)
async def test_a_job_ends_as_planned(plan: JobPlan, state: str) -> None:
    async with rig() as it:
        it.add(plan)
        job_id = await it.deploy()
        await it.settled()
        it.check()
        assert it.database.jobs[job_id].state == state


async def test_what_is_left_of_a_job_that_is_over_is_sent_though_nothing_is_acknowledged() -> None:
    async with rig(faults=Faults(withhold_acks=True)) as it:
        it.add(JobPlan(output_bytes=1 << 20))
        job_id = await it.deploy()
        await it.settled()
        assert it.database.output_ahead == {job_id: 1 << 20}
        it.check()


async def test_of_a_job_that_runs_no_more_is_sent_than_may_be_under_way() -> None:
    async with rig(faults=Faults(withhold_acks=True)) as it:
        it.add(JobPlan(Outcome.HANG, output_bytes=1 << 20))
        first = await it.deploy()
        ahead = it.database.output_ahead
        await it.database.until(
            lambda: ahead.get(first, 0) >= MAX_OUTPUT_UNDER_WAY or None, "all that may be sent"
        )
        # Its ACCEPT comes behind whatever else is sent of the first one's output.
        second = await it.deploy("shop")
        await it.peer.accepted(second)
        assert ahead[first] == MAX_OUTPUT_UNDER_WAY
        it.peer.heal()
        await it.database.until(
            lambda: it.database.jobs[first].position == PRINTED_ALL or None, "the rest of it"
        )
        assert max(ahead.values()) == MAX_OUTPUT_UNDER_WAY
        await it.peer.cancel(first)
        await it.peer.cancel(second)
        await it.settled()
        it.check()


async def test_a_job_that_hangs_is_canceled() -> None:
    async with rig() as it:
        it.add(JobPlan(Outcome.HANG))
        job_id = await it.deploy()
        await it.peer.accepted(job_id)
        await it.peer.cancel(job_id)
        await it.settled()
        it.check()
        assert it.database.jobs[job_id].state == "canceled"


async def test_jobs_wait_until_the_fleet_lets_them_end() -> None:
    async with rig() as it:
        it.add(JobPlan(Outcome.WAIT))
        ids = [await it.deploy(f"p{n}") for n in range(20)]
        for job_id in ids:
            await it.peer.accepted(job_id)
        assert not any(it.database.jobs[job_id].finals for job_id in ids)
        it.fleet.release()
        await it.settled()
        it.check()


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("with_new_epoch", [False, True])
async def test_a_link_that_breaks_at_a_moment_loses_and_doubles_nothing(
    moment: Moment, is_killed: bool, with_new_epoch: bool
) -> None:
    leave = Leave(moment, is_killed=is_killed, with_new_epoch=with_new_epoch)
    async with rig() as it:
        it.add(JobPlan(output_bytes=5000, leave=leave))
        first, second = await it.deploy(), await it.deploy("shop")
        await it.settled(first, second)
        it.check()
        assert it.fleet.counts[f"left {moment.value}"] == 2
        assert it.database.jobs[first].state == "succeeded"


async def test_an_agent_that_is_killed_comes_back_with_all_that_it_kept() -> None:
    async with rig() as it:
        agent = it.add(JobPlan(Outcome.WAIT, output_bytes=9000))
        job_id = await it.deploy()
        await it.peer.accepted(job_id)
        session = await it.peer.agent()
        agent.kill()
        await session.ended()
        agent.start()
        again = await it.peer.agent(after=session)
        assert [one["job_id"] for one in again.hello["running"]] == [job_id]
        it.fleet.release()
        await it.settled()
        it.check()


async def test_an_agent_whose_process_is_gone_comes_back_from_its_files(tmp_path: Path) -> None:
    async with rig(keeping=tmp_path) as it:
        agent = it.add(JobPlan(Outcome.WAIT))
        job_id = await it.deploy()
        await it.peer.accepted(job_id)
        session = await it.peer.agent()
        agent.kill()
        await session.ended()
        it.fleet.agents.clear()
        again = it.add(JobPlan(Outcome.WAIT))
        await it.peer.agent(after=session)
        assert again.memory.epoch == agent.memory.epoch
        it.fleet.release()
        await it.settled()
        it.check()
        assert it.fleet.ledgers[0].deeds[job_id].begun == 1


async def test_a_control_plane_that_crashes_finds_its_agent_again() -> None:
    database = PeerDatabase()
    first = ReferencePeer(database)
    async with first as peer, Fleet(peer.url, pace=QUICK) as fleet:
        it = Rig(database, peer, fleet)
        it.add(JobPlan(Outcome.WAIT))
        job_id = await it.deploy()
        await peer.accepted(job_id)
        await peer.crash()
        fleet.release()
        async with ReferencePeer(database, peer.port) as it.peer:
            await it.settled(job_id)
            it.check()


async def test_an_agent_whose_memory_is_lost_says_so_by_its_epoch() -> None:
    async with rig() as it:
        agent = it.add()
        job_id = await it.deploy()
        await it.settled(job_id)
        session = await it.peer.agent()
        agent.kill()
        await session.ended()
        agent.lose_memory()
        agent.start()
        again = await it.peer.agent(after=session)
        assert again.hello["epoch"] != session.hello["epoch"]
        it.check()


async def test_what_is_taken_for_lost_is_asked_for_again() -> None:
    async with rig() as it:
        it.add(manners=Manners(misses_each=3))
        for n in range(20):
            await it.deploy(f"p{n}")
        await it.settled()
        it.check()
        assert it.database.seen["nack"] == it.fleet.counts["nacks sent"] > 0


async def test_what_is_sent_twice_is_taken_once() -> None:
    async with rig() as it:
        it.add(manners=Manners(repeats=True))
        for n in range(5):
            await it.deploy(f"p{n}")
        await it.settled()
        it.check()
        await it.database.until(
            lambda: it.database.seen["duplicate"] == it.fleet.counts["repeated"] or None,
            "the second of each",
        )
        assert it.fleet.counts["repeated"] == 10


async def test_a_flood_is_poured_as_fast_as_it_is_taken() -> None:
    async with rig() as it:
        it.add(manners=Manners(floods_with=3_000))
        job_id = await it.deploy()
        await it.settled(job_id)
        session = await it.peer.agent()
        await it.database.until(
            lambda: session.heartbeats == 3_000 or None, "all heartbeats of the flood"
        )
        it.check()


@pytest.mark.parametrize(
    ("manners", "heartbeat_s"),
    [(Manners(is_silent=True), 15.0), (Manners(is_mute=True), 15.0)],
)
async def test_an_agent_may_say_nothing(manners: Manners, heartbeat_s: float) -> None:
    async with rig(terms=Terms(heartbeat_s=heartbeat_s, silence_s=0.2)) as it:
        agent = it.add(manners=manners)
        if manners.is_silent:
            job_id = await it.deploy()
            await it.fleet.until(
                lambda: (job_id in agent.memory.jobs) or None, "the command to come"
            )
            assert not it.database.jobs[job_id].answers
        else:
            await it.fleet.until(lambda: it.fleet.counts["links"] or None, "a link")
            assert not agent.is_online


async def test_an_agent_may_read_nothing() -> None:
    async with rig() as it:
        agent = it.add(manners=Manners(reads_nothing=True))
        session = await it.peer.agent()
        job_id = await it.deploy()
        await it.database.until(lambda: session._sender.last_sent or None, "it to be sent")
        agent.kill()
        await session.ended()
        assert it.fleet.counts["commands"] == 0
        agent.manners = Manners()
        agent.start()
        await it.settled(job_id)
        it.check()


async def test_heartbeats_are_sent_as_often_as_the_control_plane_asks() -> None:
    async with rig(terms=Terms(heartbeat_s=1.0)) as it:
        it.add()
        session = await it.peer.agent()
        await it.database.until(lambda: session.heartbeats >= 2 or None, "two heartbeats")
        assert session.facts["open_jobs"] == 0
        it.check()


async def test_an_agent_goes_elsewhere_when_it_is_asked_to() -> None:
    async with rig() as it:
        it.add()
        session = await it.peer.agent()
        session.goaway(0.01)
        await it.peer.agent(after=session)
        assert session.bye == "the agent stops"
        it.check()


@pytest.mark.parametrize("code", [4401, 4403, 4409, 4503])
async def test_an_agent_tries_again_after_every_code(code: int) -> None:
    faults = Faults(refuse_with=code)
    async with rig(faults=faults) as it:
        agent = it.add()
        await it.fleet.until(lambda: agent.ends or None, "a refusal")
        it.peer.heal()
        await it.peer.agent()
        assert agent.ends[0] == code
        assert it.fleet.counts["refused"] == (agent.ends.count(4401) + agent.ends.count(4403))


async def test_a_clone_has_the_same_identity_and_epoch_and_takes_the_other_ones_place() -> None:
    async with rig() as it:
        agent = it.add()
        first = await it.peer.agent()
        clone = it.fleet.add_clone(agent, name="two")
        second = await it.peer.agent(after=first)
        await it.fleet.until(lambda: agent.ends or None, "the end of the first")
        assert second.hello["epoch"] == first.hello["epoch"]
        assert agent.ends[0] == 4409
        clone.stop()


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - {"hang", "wait", "slow"}))
async def test_many_jobs_go_by_every_script(name: str) -> None:
    async with rig() as it:
        it.add(SCRIPTS[name])
        for n in range(2 if name == "chatty" else 60):
            await it.deploy(f"p{n}")
        await it.settled()
        it.check()


@pytest.mark.parametrize(
    "break_it",
    [
        lambda deed: setattr(deed, "begun", 2),
        lambda deed: setattr(deed, "state", "failed"),
        lambda deed: setattr(deed, "sha256", ""),
        lambda deed: setattr(deed, "state", "running"),
    ],
)
async def test_a_ledger_that_was_tampered_with_does_not_pass(
    break_it: Callable[[object], None],
) -> None:
    async with rig() as it:
        it.add(JobPlan(output_bytes=100))
        job_id = await it.deploy()
        await it.settled()
        it.check()
        break_it(it.fleet.ledgers[0].deeds[job_id])
        assert len(compare(jobs_of(it.database), it.fleet.ledgers)) == 1


async def test_an_agent_waits_longer_each_time_and_does_not_give_up() -> None:
    pace = Pace(is_spread=False)
    assert [pace.delay(n) for n in range(9)] == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    assert all(0 <= Pace().delay(3) <= 8 for _ in range(100))


async def test_nobody_listening_is_no_reason_to_stop() -> None:
    database = PeerDatabase()
    async with ReferencePeer(database) as peer, Fleet(peer.url, pace=QUICK) as fleet:
        await peer.crash()
        fleet.add(Memory(bearer_token="a-token"), name="one")
        await fleet.until(lambda: fleet.counts["dials"] > 2 or None, "some attempts")
        async with ReferencePeer(database, peer.port) as again, asyncio.timeout(20):
            await again.agent()
