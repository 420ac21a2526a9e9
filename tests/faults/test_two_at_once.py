"""Two who want different things of one project at one time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import psutil
import pytest

from adapters.compose.process_identity import RUN_MARKER
from tests.faults.agents import is_compose
from tests.faults.counting import seeds
from tests.faults.rig import Rig

ROW = "two at once"


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_two_operators_deploy_and_stop(tmp_path: Path, seed: int) -> None:
    """In the order in which the control plane has them, whatever that is."""
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        project = rig.project()
        await rig.done(rig.deploy(project))
        for _ in range(3):
            give = [rig.deploy, rig.stop]
            dice.shuffle(give)
            first = give[0](project)
            await asyncio.sleep(dice.choice((0, dice.uniform(0, 0.9))))
            rig.count_if_open(first, "deploy racing stop")
            give[1](project)
        await rig.check()


@pytest.mark.parametrize("seed", seeds())
async def test_two_agents_on_one_engine(tmp_path: Path, seed: int) -> None:
    """Each with its own state and control plane; what they share is the engine and its lock."""
    dice = random.Random(seed)
    locks = {"AGENT_LOCK_DIR": str(tmp_path / "locks")}
    async with (
        Rig(tmp_path / "one", ROW, settings=locks) as one,
        Rig(tmp_path / "other", ROW, settings=locks, owner=one.owner) as other,
    ):
        most = 0
        enough = asyncio.Event()

        async def watch() -> None:
            nonlocal most
            while not enough.is_set():
                most = max(most, _at_once(one, other))
                await asyncio.sleep(0.005)

        async with asyncio.TaskGroup() as watching:
            watching.create_task(watch())
            for rig in (one, other):
                rig.allowed.repeats = True  # Each undoes what the other has done.
                await rig.agent.start()
                await rig.peer.agent()
            for _ in range(3):
                for rig in (one, other):
                    # What the other one replaces before it was looked at has not come up.
                    rig.deploy(rig.project(), ends={"succeeded", "failed"})
                    await asyncio.sleep(dice.uniform(0, 0.3))
                one.injected("two agents at one project")
                for rig in (one, other):
                    await rig.settled()
            await one.done(one.deploy(one.project()))
            other.allowed.unknown_effect.add(other.project().name)
            enough.set()
        for rig in (one, other):
            await rig.check()
        assert most == 1, f"{most} at once"


def _at_once(*rigs: Rig) -> int:
    """How many change something on the engine right now; each is a run of its own."""
    runs = set()
    for process in [process for rig in rigs for process in rig.agent.executors()]:
        # One that is about to be gone has no environment any more.
        with contextlib.suppress(psutil.NoSuchProcess, KeyError):
            if is_compose(process, "up"):
                runs.add(process.environ()[RUN_MARKER])
    return len(runs)
