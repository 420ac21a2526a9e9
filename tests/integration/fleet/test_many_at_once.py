"""Many agents of v2 and some of v1 at once: nothing lost, nothing twice, nothing invented.

50 and 10 here; `make test-fleet` has 500 and 50, which takes minutes for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fleet.checking import PlaneJob, Terms, compare
from tests.fleet.crew import FleetProcess
from tests.fleet.orders import add_order
from tests.fleet.plane_api import PlaneApi
from tests.fleet.plane_process import PlaneProcess
from tests.fleet.scripts import Manners
from tests.support.ports import reserved_port
from tests.support.postgres import new_database, shared_server, url_of

AGENTS = int(os.environ.get("FLEET_AGENTS", "50"))
OF_THEM_BY_BEARER = AGENTS // 10
PLAIN = max(10, AGENTS // 10)
OF_THEM_NAIVE = PLAIN // 2
LABELS = {"fleet": "all"}
PACE = {"first_s": 0.1, "longest_s": 2.0}
EVERYWHERE = 2
SINGLY = 40
JOBS = EVERYWHERE * (AGENTS + PLAIN) + SINGLY
KILLED_AT = (("commands", 0.05), ("accepts", 0.3), ("results", 0.6))
"""What agents have done by then, and of how many of the jobs."""
PATIENCE_S = 500.0


@dataclass(frozen=True)
class Rig:
    plane: PlaneProcess
    api: PlaneApi
    fleet: FleetProcess
    hosts: Sequence[str]
    naive: frozenset[str]

    async def deploy(self) -> list[str]:
        """To all hosts, some times, and to some, many times; the deployments."""
        made = [
            await self.api.deploy(f"everywhere-{number}", labels=LABELS)
            for number in range(EVERYWHERE)
        ]
        assert all(len(one["jobs"]) == AGENTS + PLAIN for one in made)
        hosts = random.Random(7).choices(self.hosts, k=SINGLY)
        made += [
            await self.api.deploy(f"singly-{number % 5}", hosts=[host])
            for number, host in enumerate(hosts)
        ]
        return [one["id"] for one in made]

    async def die(self) -> None:
        """Again and again: while it is asked, while it sends, and while it hears."""
        for what, share in KILLED_AT:
            least = int(share * JOBS)
            await self.fleet.ask("counted", what=what, least=least, patience_s=PATIENCE_S)
            self.plane.kill()
            await self.plane.start()

    async def all_over(self, deployments: Sequence[str]) -> list[PlaneJob]:
        """What the control plane says of its jobs once all of them are over."""
        async with asyncio.timeout(PATIENCE_S):
            for deployment in deployments:
                events = [
                    name async for name, _ in self.api.follow(f"/deployments/{deployment}/feed")
                ]
                assert events[-1] == "end"
        jobs = await self.api.plane_jobs()
        assert len(jobs) == JOBS
        return jobs

    async def check(self, jobs: Sequence[PlaneJob]) -> None:
        report = await self.fleet.ask("report")
        assert report["blames"] == []
        assert report["complaints"] == []
        assert compare(jobs, await self.fleet.ledgers(), Terms(naive=self.naive)) == []
        assert Counter(job.state for job in jobs)["succeeded"] > len(jobs) / 2


@contextlib.asynccontextmanager
async def rig(home: Path, **settings: str) -> AsyncIterator[Rig]:
    with reserved_port() as port:
        plane = PlaneProcess(home, port, settings=settings)
        await plane.start()
        try:
            async with plane.api() as api, FleetProcess(plane.agents_url, pace=PACE) as fleet:
                hosts, naive = await _add_agents(api, fleet)
                await fleet.ask("online", patience_s=PATIENCE_S)
                yield Rig(plane, api, fleet, hosts, naive)
        finally:
            plane.kill()


async def _add_agents(api: PlaneApi, fleet: FleetProcess) -> tuple[list[str], frozenset[str]]:
    names = [f"host-{number}" for number in range(AGENTS)]
    by_key, by_bearer = names[OF_THEM_BY_BEARER:], names[:OF_THEM_BY_BEARER]
    for some, are_enrolled in ((by_key, True), (by_bearer, False)):
        memories = await api.memories(some, LABELS, are_enrolled=are_enrolled)
        await fleet.carry_out(add_order(some, memories, script="mixed"))
    plain = [f"plain-{number}" for number in range(PLAIN)]
    memories = await api.memories(plain, LABELS, are_enrolled=False)
    for is_naive in (True, False):
        which = slice(0, OF_THEM_NAIVE) if is_naive else slice(OF_THEM_NAIVE, None)
        order = add_order(
            plain[which],
            memories[which],
            script="mixed",
            manners=Manners(is_naive=is_naive),
            offer=["instadeploy.v1"] if is_naive else [],
        )
        await fleet.carry_out(order)
    naive = frozenset(memory.host_id for memory in memories[:OF_THEM_NAIVE])
    return [*names, *plain], naive


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Which database it is."""
    if request.param == "sqlite":
        yield {}
        return
    server = shared_server()
    with new_database(server) as name:
        yield {"DATABASE_URL": url_of(server, name)}


async def test_everything_comes_to_the_end_that_its_host_tells(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with rig(tmp_path, **settings) as it:
        jobs = await it.all_over(await it.deploy())
        await it.check(jobs)


async def test_killed_in_the_middle_it_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with rig(tmp_path, **settings) as it:
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(it.deploy(), name="asking")
            tasks.create_task(it.die(), name="dying")
        await it.fleet.ask("online", patience_s=PATIENCE_S)
        await it.check(await it.all_over(asking.result()))
