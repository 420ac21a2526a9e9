"""What carries a deployment out is killed, in whole or in part, while it replaces containers."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from adapters.compose.process_identity import RUN_MARKER
from tests.faults.counting import choice, seeds
from tests.faults.rig import Rig
from tests.support.runs import kill_wholly

ROW = "executor killed"
LONGEST_RECREATE_S = 0.8

Part = Callable[[psutil.Process], bool]


def _program(process: psutil.Process) -> str:
    return Path(process.cmdline()[0]).name


PARTS: dict[str, Part] = {
    "the job runner": lambda process: _program(process).startswith("python"),
    "the docker program": lambda process: _program(process) == "docker",
    # Not the one that is only asked what it is, before that: without it docker has no such command.
    "the compose plugin": lambda process: (
        _program(process) == "docker-compose" and "up" in process.cmdline()
    ),
}
WHOLE = "all of it"


@pytest.mark.parametrize("part", choice([WHOLE, *PARTS], WHOLE, "the compose plugin"))
@pytest.mark.parametrize("seed", seeds())
async def test_at_a_random_moment_of_replacing_containers(
    tmp_path: Path, part: str, seed: int
) -> None:
    dice = random.Random(f"{part}/{seed}")
    async with Rig(tmp_path, ROW) as rig:
        rig.allowed.repeats = True
        await rig.agent.start()
        project = rig.project()
        await rig.done(rig.deploy(project))
        for _ in range(3):
            job_id = rig.deploy(project)
            await rig.executor("up")
            await asyncio.sleep(dice.uniform(0, LONGEST_RECREATE_S))
            if await _kill(rig, part):
                rig.injected(f"{part} SIGKILL")
            await rig.done(job_id)
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_two_attempts_are_lost_and_the_third_succeeds(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig:
        rig.allowed.repeats = True
        await rig.agent.start()
        project = rig.project()
        await rig.done(rig.deploy(project))
        gate = rig.gate()
        job_id = rig.deploy(project, gate=gate)
        for _ in range(2):
            await rig.executor("up")
            await asyncio.sleep(dice.uniform(0, LONGEST_RECREATE_S))
            assert await _kill(rig, WHOLE)
            rig.injected(f"{WHOLE} SIGKILL")
        await rig.executor("up")
        gate.open()
        final = await rig.done(job_id)
        assert [one["attempt"] for one in final["output"] if one["step"] == "apply"] == [1, 2, 3]
        await rig.check()


@pytest.mark.thorough
async def test_three_attempts_are_lost_and_the_job_says_so(tmp_path: Path) -> None:
    async with Rig(tmp_path, ROW) as rig:
        rig.allowed.repeats = True
        await rig.agent.start()
        project = rig.project()
        job_id = rig.deploy(project, gate=rig.gate(), ends={"failed"})
        for _ in range(3):
            await rig.executor("up")
            assert await _kill(rig, WHOLE)
            rig.injected(f"{WHOLE} SIGKILL")
        final = await rig.database.final(job_id)
        assert final["data"]["reason"] == "interrupted"
        await rig.done(rig.deploy(project))
        await rig.check()


async def _kill(rig: Rig, part: str) -> bool:
    """Whether there was something left to kill."""
    found = rig.agent.executors()
    if not found:
        return False
    if part == WHOLE:
        with contextlib.suppress(psutil.NoSuchProcess):
            await kill_wholly(found[0].environ()[RUN_MARKER])
            return True
        return False
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            if PARTS[part](process):
                process.kill()
                return True
    return False
