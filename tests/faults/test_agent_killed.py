"""The agent is killed, with `kill -9`, while it deploys; and started again at once."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.counting import is_thorough, seeds
from tests.faults.rig import Rig, keep_busy

ROW = "agent killed at a random time"
LONGEST_JOB_S = 1.0


@pytest.mark.parametrize("seed", seeds())
async def test_at_a_random_moment_of_a_deployment(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        project = rig.project()
        await rig.done(rig.deploy(project))
        for _ in range(3):
            job_id = rig.deploy(project)
            if dice.random() < 0.8:
                await rig.database.answer(job_id)
            await asyncio.sleep(dice.uniform(0, LONGEST_JOB_S))
            rig.count_if_open(job_id, "agent SIGKILL")
            await rig.agent.kill_and_restart()
        await rig.check()


async def test_again_and_again_while_it_deploys(tmp_path: Path) -> None:
    """`kill -9` every 2 s, for ten minutes where all is wanted: no deployment fails because of it."""
    seconds = 600 if is_thorough() else 10
    enough = asyncio.Event()
    dice = random.Random(1)
    loop = asyncio.get_running_loop()
    async with Rig(tmp_path, "agent killed every 2 s") as rig:
        await rig.agent.start()
        await rig.peer.agent()
        async with asyncio.TaskGroup() as work:
            for number in range(2):
                work.create_task(keep_busy(rig, rig.project(number), enough, dice))
            over_at = loop.time() + seconds
            while loop.time() < over_at:
                await asyncio.sleep(2)
                rig.count_if_open(None, "agent SIGKILL")
                await rig.agent.kill_and_restart()
            enough.set()
        await rig.check()
