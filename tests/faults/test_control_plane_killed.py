"""The control plane is killed at every step of what it does with a message, and started again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.counting import choice, seeds
from tests.faults.rig import Rig
from tests.support.agent_frames import Message, kind_of

ROW = "control plane killed"
LONGEST_OUTAGE_S = 2.0

AFTER_RESULT = "after the commit of the result, before its ack"
MOMENTS: dict[str, tuple[str, bool]] = {
    "before the commit of ACCEPT": ("ACCEPT", False),
    "after the commit of ACCEPT, before its ack": ("ACCEPT", True),
    "before the commit of output": ("OUTPUT", False),
    "after the commit of output, before its ack": ("OUTPUT", True),
    "before the commit of the result": ("FINAL", False),
    AFTER_RESULT: ("FINAL", True),
}


def _about(kind: str, job_id: str) -> Callable[[Message], bool]:
    return lambda message: message.get("job_id") == job_id and kind_of(message) == kind


async def _start_again(rig: Rig, dice: random.Random) -> None:
    await asyncio.sleep(dice.uniform(0, LONGEST_OUTAGE_S))
    started = asyncio.get_running_loop().time()
    await rig.start_peer()
    await rig.peer.agent()
    rig.verdict.measure("until the agent is back", asyncio.get_running_loop().time() - started)


@pytest.mark.parametrize("moment", choice(MOMENTS, "before the commit of ACCEPT", AFTER_RESULT))
@pytest.mark.parametrize("seed", seeds())
async def test_when_it_receives(tmp_path: Path, moment: str, seed: int) -> None:
    kind, is_after = MOMENTS[moment]
    dice = random.Random(f"{moment}/{seed}")
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        project = rig.project()
        for _ in range(2):
            job_id = rig.deploy(project)
            rig.peer.faults.crash_after_commit = is_after
            rig.peer.faults.crash_when = _about(kind, job_id)
            await rig.peer.has_crashed()
            rig.injected(moment)
            await _start_again(rig, dice)
            await rig.done(job_id)
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_before_and_after_it_sends(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        project = rig.project()
        job_id = rig.deploy(project)
        await rig.crash_peer()
        rig.injected("before it sends")
        await _start_again(rig, dice)
        await rig.done(job_id)
        job_id = rig.deploy(project)
        await asyncio.sleep(dice.uniform(0, 0.02))
        rig.count_if_open(job_id, "after it has sent")
        await rig.crash_peer()
        await _start_again(rig, dice)
        await rig.done(job_id)
        job_id = rig.deploy(project)
        await rig.executor("up")
        await asyncio.sleep(dice.uniform(0, 1))
        rig.count_if_open(job_id, "while a job runs")
        await rig.crash_peer()
        await _start_again(rig, dice)
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_with_results_that_it_had_not_acknowledged(tmp_path: Path, seed: int) -> None:
    """What it holds back is lost with it: all comes again, and nothing runs again."""
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        rig.peer.faults.hold_commits = True
        jobs = [rig.deploy(rig.project(number)) for number in range(2)]
        await rig.until(lambda: len(rig.effects.happened) >= 2 * 4, "containers")
        await asyncio.sleep(dice.uniform(0, 1))
        rig.injected("with nothing committed")
        await rig.crash_peer()
        assert [rig.database.jobs[job_id].finals for job_id in jobs] == [[], []]
        await _start_again(rig, dice)
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_and_restored_from_a_backup(tmp_path: Path, seed: int) -> None:
    """It has forgotten the job: it is told the result all the same, and nothing runs twice."""
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        project = rig.project()
        await rig.done(rig.deploy(project))
        backup = rig.database.snapshot()
        job_id = rig.deploy(project)
        await rig.database.answer(job_id)
        await asyncio.sleep(dice.uniform(0, 0.9))
        rig.injected("and restored from a backup")
        await rig.crash_peer()
        if rig.database.jobs[job_id].has_all_output:
            # It may have been told so, and cleared away what the job had printed.
            rig.allowed.no_output.add(job_id)
        rig.database.restore(backup)
        await _start_again(rig, dice)
        await rig.done(job_id)
        assert rig.database.unknown_jobs == [job_id]
        await rig.check()
