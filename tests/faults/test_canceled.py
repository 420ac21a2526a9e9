"""Deployments are canceled at any moment: each ends within 30 s, and nothing of it is left."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.counting import choice, seeds
from tests.faults.rig import Rig

ROW = "canceled"
ENDS_WITHIN_S = 30.0
LONGEST_JOB_S = 1.0
MOMENTS = ("before it is accepted", "while it runs", "twice")
EITHER = ("canceled", "succeeded")


@pytest.mark.parametrize("moment", choice(MOMENTS, "while it runs"))
@pytest.mark.parametrize("seed", seeds())
async def test_at_a_random_moment(tmp_path: Path, moment: str, seed: int) -> None:
    dice = random.Random(f"{moment}/{seed}")
    async with Rig(tmp_path, ROW) as rig:
        rig.allowed.repeats = True  # Of what is canceled, the effect may be any.
        await rig.agent.start()
        await rig.peer.agent()
        project = rig.project()
        await rig.done(rig.deploy(project))
        for _ in range(3):
            job_id = rig.deploy(project, ends=EITHER)
            if moment != "before it is accepted":
                await rig.database.answer(job_id)
                await asyncio.sleep(dice.uniform(0, LONGEST_JOB_S))
            await _cancel(rig, job_id, f"CANCEL, {moment}")
            if moment == "twice":
                await asyncio.sleep(dice.uniform(0, 0.2))
                rig.database.cancel(job_id)
            await _ends_in_time(rig, job_id)
        await rig.done(rig.deploy(project))
        await rig.check()


@pytest.mark.parametrize("seed", seeds())
async def test_while_it_cannot_end_by_itself(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig:
        rig.allowed.repeats = True
        await rig.agent.start()
        project = rig.project()
        job_id = rig.deploy(project, gate=rig.gate(), ends={"canceled"})
        waiting = rig.deploy(project)
        behind = rig.deploy(project, ends={"canceled"})
        await rig.executor("up")
        await asyncio.sleep(dice.uniform(0, LONGEST_JOB_S))
        await _cancel(rig, behind, "CANCEL, in the queue")
        await _ends_in_time(rig, behind)
        await _cancel(rig, job_id, "CANCEL, while it runs")
        await _ends_in_time(rig, job_id)
        assert rig.database.jobs[waiting].state == "superseded"
        assert rig.agent.executors() == []
        await rig.done(rig.deploy(project))
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds(at_most=20))
async def test_what_is_over_stays_as_it_is(tmp_path: Path, seed: int) -> None:
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        project = rig.project()
        job_id = rig.deploy(project)
        final = await rig.done(job_id)
        rig.database.cancel(job_id)
        rig.injected("CANCEL, after the end")
        rig.database.cancel(f"unknown-{seed}")
        rig.injected("CANCEL of an unknown job")
        issued = len(rig.database.ledger.outgoing)
        await rig.database.until(
            lambda: True if rig.database.ledger.agent_ack >= issued else None, "acknowledgements"
        )
        await rig.check()
        assert rig.database.jobs[job_id].finals == [final]


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_and_the_agent_is_killed_right_behind(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig:
        rig.allowed.repeats = True
        await rig.agent.start()
        project = rig.project()
        job_id = rig.deploy(project, gate=rig.gate(), ends={"canceled"})
        await rig.executor("up")
        await asyncio.sleep(dice.uniform(0, 1))
        await _cancel(rig, job_id, "CANCEL, and agent SIGKILL")
        await asyncio.sleep(dice.uniform(0, 0.1))
        await rig.agent.kill_and_restart()
        await _ends_in_time(rig, job_id)
        await rig.done(rig.deploy(project))
        await rig.check()


async def _cancel(rig: Rig, job_id: str, fault: str) -> None:
    rig.count_if_open(job_id, fault)
    rig.database.cancel(job_id)


async def _ends_in_time(rig: Rig, job_id: str) -> None:
    started = asyncio.get_running_loop().time()
    async with asyncio.timeout(ENDS_WITHIN_S):
        await rig.database.final(job_id)
    rig.verdict.measure("from CANCEL to the end", asyncio.get_running_loop().time() - started)
