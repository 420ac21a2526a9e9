"""The agent is stopped as a service manager stops it, and started again, also as another one.

The control plane notes a violation where output comes again of which it had said that it has it.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.faults.counting import seeds
from tests.faults.rig import Rig

ROW = "agent SIGTERM and restart"
LONGEST_JOB_S = 1.0


@pytest.mark.thorough
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
            await rig.database.answer(job_id)
            await asyncio.sleep(dice.uniform(0, LONGEST_JOB_S))
            session = await rig.peer.agent()
            rig.count_if_open(job_id, "agent SIGTERM")
            assert await rig.agent.terminate() == 0
            assert session.bye is not None
            await rig.agent.start()
        await rig.check()


async def test_what_runs_goes_on_and_is_found_again(tmp_path: Path) -> None:
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        gate = rig.gate()
        job_id = rig.deploy(rig.project(), gate=gate)
        # The next agent speaks of the stages before the step, and must go on with this all the same.
        await rig.until(lambda: _has_printed(rig, job_id, "apply"), "what the step prints")
        before = {process.pid for process in rig.agent.executors()}
        rig.injected("agent SIGTERM")
        assert await rig.agent.terminate() == 0
        assert {process.pid for process in rig.agent.executors()} == before
        await rig.agent.start()
        session = await rig.peer.agent()
        (running,) = session.hello["running"]
        assert (running["job_id"], running["state"]) == (job_id, "running")
        assert {process.pid for process in rig.agent.executors()} == before
        gate.open()
        await rig.done(job_id)
        await rig.check()


@pytest.mark.thorough
async def test_what_ends_while_there_is_no_agent_is_reported_by_the_next(tmp_path: Path) -> None:
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        gate = rig.gate()
        job_id = rig.deploy(rig.project(), gate=gate)
        await rig.executor("up")
        rig.injected("agent SIGTERM")
        assert await rig.agent.terminate() == 0
        gate.open()
        await rig.until(lambda: not rig.agent.executors(), "the end of the executor")
        await rig.agent.start()
        await rig.done(job_id)
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_an_upgrade_takes_the_old_one_away_while_a_job_runs(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    old = tmp_path / "old"
    old.mkdir()
    for entry in Path(sys.prefix).iterdir():
        (old / entry.name).symlink_to(entry)
    async with Rig(tmp_path / "home", ROW) as rig:
        rig.agent.python = str(old / "bin" / "python")
        await rig.agent.start()
        gate = rig.gate()
        job_id = rig.deploy(rig.project(), gate=gate)
        runner = (await rig.executor("up"))[0]
        assert runner.cmdline()[0] == rig.agent.python
        await asyncio.sleep(dice.uniform(0, LONGEST_JOB_S))
        rig.injected("agent upgraded")
        assert await rig.agent.terminate() == 0
        shutil.rmtree(old)
        rig.agent.python = sys.executable
        await rig.agent.start()
        await rig.peer.agent()
        gate.open()
        await rig.done(job_id)
        await rig.check()


def _has_printed(rig: Rig, job_id: str, step: str) -> bool:
    """Whether the control plane has any of what a step prints."""
    return any(printing == step for printing, _ in rig.database.jobs[job_id].outputs)
