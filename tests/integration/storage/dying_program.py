"""A program that writes to a database as fast as it can, and says what it was told is durable.

    python -m tests.integration.storage.dying_program URL ROUND

It never ends by itself. For each host it submits jobs, has them numbered, and records their results.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from adapters.storage.database import Database
from domain.errors import Conflict
from domain.fleet.host import Host
from tests.contracts.fleet import NOW, a_host, a_job, a_submission, chunk, hashed, result, say

HOSTS = 8


async def main(url: str, round_: int) -> None:
    async with Database.opened(url) as fleet, asyncio.TaskGroup() as lives:
        for number in range(HOSTS):
            host = a_host(f"h{number}")
            lives.create_task(_live(fleet, host, round_), name=host.name.value)


async def _live(fleet: Database, host: Host, round_: int) -> None:
    with contextlib.suppress(Conflict):  # It was added in an earlier round.
        await fleet.hosts.add(host, hashed(host.id))
    for number in range(1_000_000):
        name = f"{host.name}-{round_}-{number}"
        await fleet.jobs.submit(a_submission(a_job(name, host, "STATUS")))
        _say("submitted", name)
        for said in (await fleet.jobs.number(host.id, NOW)).said:
            _say("numbered", f"{host.name}:{said.job_id}:{said.seq}")
        link = (await fleet.jobs.standing(host.id)).link
        job_id = f"job-{name}"
        final = result(link.heard + 1, job_id)
        recorded = await say(
            fleet, host, chunk(job_id, b"output"), final, confirmed=link.next_seq - 2
        )
        assert recorded.ended == (job_id,)
        _say("ended", name)


def _say(what: str, name: str) -> None:
    sys.stdout.write(f"{what} {name}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
