"""The control plane, as a process, driven by agents that behave in every way that the simulator knows."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from tests.fleet.agent import Agent
from tests.fleet.checking import PlaneJob, Terms, compare
from tests.fleet.fleet import Fleet
from tests.fleet.pace import Pace
from tests.fleet.plane_api import PlaneApi, Refused
from tests.fleet.plane_process import PlaneProcess
from tests.fleet.scripts import (
    GOOD_MANNERS,
    SCRIPTS,
    JobPlan,
    Leave,
    Manners,
    Moment,
    Outcome,
    Script,
    always,
)
from tests.fleet.upgrade import BOTH, V1
from tests.support.ports import reserved_port

QUICK = Pace(first_s=0.05, longest_s=0.5, refused_s=0.05)
PATIENCE_S = 60.0
OVER = ("succeeded", "failed", "canceled", "expired", "superseded")


class Rig:
    """A control plane, and a fleet in this process. Hosts are named as the test names them, and more."""

    _numbers = itertools.count(1)

    def __init__(self, plane: PlaneProcess, api: PlaneApi, fleet: Fleet) -> None:
        self.plane = plane
        self.api = api
        self.fleet = fleet
        self.shared: set[str] = set()
        self.naive: set[str] = set()
        self._tag = f"t{next(self._numbers)}"

    def name(self, name: str) -> str:
        """The host's own, as others had one of that name."""
        return f"{self._tag}-{name}"

    async def add(
        self,
        name: str,
        script: Script | JobPlan | None = None,
        *,
        manners: Manners = GOOD_MANNERS,
        is_enrolled: bool = True,
        offer: tuple[str, ...] = BOTH,
    ) -> Agent:
        """A host, and its agent, which is welcome."""
        make = self.api.enrolled if is_enrolled else self.api.with_token
        memory = await make(self.name(name), {"env": "test"})
        plan = script if callable(script) else always(script or JobPlan())
        agent = self.fleet.add(
            memory, name=self.name(name), script=plan, manners=manners, offer=offer
        )
        if not manners.is_mute:
            await self.fleet.until(lambda: agent.is_online or None, f"{name} to be welcome")
        return agent

    async def deploy(self, *hosts: str, project: str = "blog", **more: Any) -> list[str]:
        """The ids of the jobs."""
        made = await self.api.deploy(project, hosts=[self.name(host) for host in hosts], **more)
        return [job["id"] for job in made["jobs"]]

    def has_seen(self, links: int) -> bool | None:
        """Whether there were so many."""
        return self.fleet.counts["links"] >= links or None

    async def job(self, job_id: str) -> dict[str, Any]:
        """As the API shows it now."""
        found: dict[str, Any] = await self.api.get(f"/jobs/{job_id}")
        return found

    async def over(self, job_id: str) -> dict[str, Any]:
        """As it is once it is over, which its feed tells."""
        async with asyncio.timeout(PATIENCE_S):
            async for name, _ in self.api.follow(f"/jobs/{job_id}/feed"):
                if name == "end":
                    break
        job = await self.job(job_id)
        assert job["over"], job
        return job

    async def all_over(self, jobs: Sequence[str]) -> list[str]:
        """The states of all of them, once all are over."""
        return [(await self.over(job_id))["state"] for job_id in jobs]

    async def check(self) -> None:
        """Both sides have kept to the protocol, and tell the same, byte by byte."""
        self.fleet.check()
        jobs: list[PlaneJob] = []
        for ledger in self.fleet.ledgers:
            if ledger.host_id:
                query = f"&host={ledger.host_id}"
                has_output = ledger.protocol == 2
                jobs += await self.api.plane_jobs(query, with_output=has_output)
        terms = Terms(naive=frozenset(self.naive), shared=frozenset(self.shared))
        assert compare(jobs, self.fleet.ledgers, terms) == []


@contextlib.asynccontextmanager
async def on(plane: PlaneProcess) -> AsyncIterator[Rig]:
    """A rig on a control plane that runs."""
    async with plane.api() as api, Fleet(plane.agents_url, pace=QUICK) as fleet:
        yield Rig(plane, api, fleet)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaneProcess]:
    """One for all tests that leave it as it is."""
    with reserved_port() as port:
        process = PlaneProcess(tmp_path_factory.mktemp("plane"), port)
        asyncio.run(process.start())
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
async def it(plane: PlaneProcess) -> AsyncIterator[Rig]:
    """A fleet of this test's own on it."""
    async with on(plane) as rig:
        yield rig


async def test_a_host_enrols_is_deployed_to_and_tells_its_end(it: Rig) -> None:
    agent = await it.add("one", JobPlan(output_bytes=100_000))
    (job_id,) = await it.deploy("one")
    job = await it.over(job_id)
    assert job["state"] == "succeeded"
    assert job["host_id"] == agent.memory.host_id
    assert it.fleet.counts["enrolled"] == 1
    await it.check()


async def test_a_bearer_token_will_do_over_both_versions(it: Rig) -> None:
    await it.add("two", JobPlan(output_bytes=100), is_enrolled=False)
    await it.add("one", JobPlan(output_bytes=100), is_enrolled=False, offer=(V1,))
    assert await it.all_over(await it.deploy("one", "two")) == ["succeeded", "succeeded"]
    assert [ledger.protocol for ledger in it.fleet.ledgers] == [2, 1]
    await it.check()


async def test_an_enrolment_is_good_once(it: Rig) -> None:
    memory = await it.api.enrolled(it.name("one"))
    second = await it.api.enrolled(it.name("two"))
    second.enrolment_token = memory.enrolment_token
    it.fleet.add(memory, name="first")
    await it.fleet.all_online()
    thief = it.fleet.add(second, name="thief")
    await it.fleet.until(lambda: thief.ends or None, "a refusal")
    assert thief.ends[0] == 4401
    assert not thief.memory.host_id
    thief.kill()
    await it.check()


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("with_new_epoch", [False, True])
async def test_links_that_break_at_a_moment_lose_and_double_nothing(
    it: Rig, moment: Moment, is_killed: bool, with_new_epoch: bool
) -> None:
    leave = Leave(moment, is_killed=is_killed, with_new_epoch=with_new_epoch)
    await it.add("one", JobPlan(output_bytes=5000, leave=leave))
    jobs = [job for n in range(3) for job in await it.deploy("one", project=f"p{n}")]
    assert await it.all_over(jobs) == ["succeeded"] * 3
    assert it.fleet.counts[f"left {moment.value}"] == 3
    await it.check()


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("is_naive", [False, True])
async def test_links_of_v1_that_break_at_a_moment_are_taken_up_again(
    it: Rig, moment: Moment, is_naive: bool
) -> None:
    plan = JobPlan(leave=Leave(moment))
    manners = Manners(is_naive=is_naive)
    agent = await it.add("one", plan, manners=manners, is_enrolled=False, offer=(V1,))
    if is_naive:
        it.naive.add(agent.memory.host_id)
    jobs = [job for n in range(3) for job in await it.deploy("one", project=f"p{n}")]
    assert await it.all_over(jobs) == ["succeeded"] * 3
    await it.check()


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - {"hang", "wait"}))
async def test_many_jobs_go_by_every_script(it: Rig, name: str) -> None:
    await it.add("one", SCRIPTS[name])
    many = 3 if name in ("chatty", "slow") else 40
    jobs = [job for n in range(many) for job in await it.deploy("one", project=f"p{n}")]
    await it.all_over(jobs)
    await it.check()


@pytest.mark.parametrize("manners", [Manners(misses_each=3), Manners(repeats=True)])
async def test_what_is_lost_or_comes_twice_changes_nothing(it: Rig, manners: Manners) -> None:
    await it.add("one", JobPlan(output_bytes=1000), manners=manners)
    jobs = [job for n in range(20) for job in await it.deploy("one", project=f"p{n}")]
    assert await it.all_over(jobs) == ["succeeded"] * 20
    assert it.fleet.counts["nacks sent"] + it.fleet.counts["repeated"] > 0
    await it.check()


async def test_an_offline_host_gets_its_commands_when_it_comes(it: Rig) -> None:
    agent = await it.add("one")
    agent.kill()
    first = await it.deploy("one", project="shop")
    superseded = await it.deploy("one")
    newer = await it.deploy("one")
    assert (await it.job(first[0]))["delivery"] == "waiting"
    assert (await it.job(superseded[0]))["state"] == "superseded"
    agent.start()
    assert await it.all_over(first + newer) == ["succeeded", "succeeded"]
    assert superseded[0] not in agent.ledger.deeds
    await it.check()


async def test_a_job_is_canceled_on_its_host(it: Rig) -> None:
    agent = await it.add("one", JobPlan(Outcome.HANG))
    (job_id,) = await it.deploy("one")
    await it.fleet.until(lambda: agent.ledger.deeds.get(job_id), "the job to begin")
    await it.api.post(f"/jobs/{job_id}/cancel")
    assert (await it.over(job_id))["state"] == "canceled"
    await it.check()


async def test_what_is_killed_in_the_middle_goes_on_where_it_was(it: Rig) -> None:
    for name in ("one", "two"):
        await it.add(name, JobPlan(Outcome.WAIT, output_bytes=10_000))
    jobs = [job for n in range(10) for job in await it.deploy("one", "two", project=f"p{n}")]
    await it.fleet.until(
        lambda: it.fleet.counts["accepts"] >= len(jobs) or None, "all to be accepted"
    )
    it.plane.kill()
    it.fleet.release()
    await it.plane.start()
    assert await it.all_over(jobs) == ["succeeded"] * len(jobs)
    await it.check()


async def test_a_host_that_is_revoked_is_put_out_at_once_and_stays_out(it: Rig) -> None:
    agent = await it.add("one")
    await it.add("two")
    await it.api.post(f"/hosts/{it.name('one')}/revoke")
    await it.fleet.until(lambda: len(agent.ends) >= 2 or None, "two ends")
    assert agent.ends[:2] == [4403, 4403]
    assert await it.all_over(await it.deploy("two")) == ["succeeded"]
    agent.kill()
    await it.check()


async def test_a_host_whose_token_is_replaced_is_put_out(it: Rig) -> None:
    agent = await it.add("one", is_enrolled=False, offer=(V1,))
    made = await it.api.post(f"/hosts/{it.name('one')}/token")
    await it.fleet.until(lambda: agent.ends or None, "the end of the link")
    await it.fleet.until(lambda: 401 in agent.ends or None, "a refusal")
    agent.memory.bearer_token = made["token"]
    await it.fleet.until(lambda: agent.is_online or None, "the agent with its new token")
    await it.check()


async def test_of_two_with_one_identity_the_newer_is_served_and_a_clone_is_suspected(
    it: Rig,
) -> None:
    agent = await it.add("one")
    it.shared.add(agent.memory.host_id)
    clone = it.fleet.add_clone(agent, name="clone")
    await it.fleet.until(lambda: 4409 in agent.ends or None, "the older to be put out")
    await it.fleet.until(lambda: 4409 in clone.ends or None, "the other one, too")

    async with asyncio.timeout(PATIENCE_S):
        while (await it.api.get(f"/hosts/{it.name('one')}"))["clone_suspected_at"] is None:
            links = it.fleet.counts["links"] + 1
            await it.fleet.until(partial(it.has_seen, links), "another link")
    clone.kill()
    await it.fleet.until(lambda: agent.is_online or None, "the other one")
    assert await it.all_over(await it.deploy("one")) == ["succeeded"]


@pytest.mark.parametrize(
    ("manners", "codes"),
    [
        (Manners(floods_with=200_000), {4429}),
        (Manners(is_mute=True), {4400}),
    ],
)
async def test_one_that_misbehaves_is_put_out_and_nobody_else_notices(
    it: Rig, manners: Manners, codes: set[int]
) -> None:
    bad = await it.add("bad", manners=manners)
    await it.add("good")
    await it.fleet.until(lambda: (codes & set(bad.ends)) or None, f"{codes}")
    bad.kill()
    assert await it.all_over(await it.deploy("good")) == ["succeeded"]


async def test_a_command_that_is_too_much_for_the_api_reaches_nobody(it: Rig) -> None:
    agent = await it.add("one")
    with pytest.raises(Refused) as refused:
        await it.deploy("one", compose="x" * ((1 << 20) + 1))
    assert refused.value.status in (413, 422)
    assert agent.ledger.deeds == {}
    await it.check()
