"""The wall clock jumps while jobs run: what happened, and when things end, stays the same (R17)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.counting import seeds
from tests.faults.rig import Rig

ROW = "wall clock jumps"
JUMPS = ("-10y", "+10y", "-1h", "+1h", "+0")


def _faketime() -> Path:
    """The library that fakes the clock; `make test-faults` has seen to it."""
    found = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    assert found, "run these tests with 'make test-faults'"
    return found[0]


class WallClock:
    """What a program that was started with `settings` is told the time is; monotonic clocks are true."""

    def __init__(self, directory: Path) -> None:
        self._says = directory / "clock"
        self.jump("+0")
        self.settings = {
            "LD_PRELOAD": str(_faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self._says),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, offset: str) -> None:
        """Be so far off the true time from now on."""
        new = self._says.with_suffix(".new")
        new.write_text(f"{offset}\n", encoding="ascii")
        new.rename(self._says)


@pytest.mark.thorough
@pytest.mark.parametrize("jump", JUMPS[:4])
@pytest.mark.parametrize("seed", seeds())
async def test_while_jobs_run(tmp_path: Path, jump: str, seed: int) -> None:
    dice = random.Random(f"{jump}/{seed}")
    clock = WallClock(tmp_path)
    async with Rig(tmp_path / "home", ROW, settings=clock.settings) as rig:
        await rig.agent.start()
        session = await rig.peer.agent()
        project = rig.project()
        for offset in (jump, "+0"):
            job_id = rig.deploy(project, deadline_s=60.0)
            await rig.database.answer(job_id)
            await asyncio.sleep(dice.uniform(0, 1))
            rig.count_if_open(job_id, f"clock {jump}, and back")
            clock.jump(offset)
            await rig.done(job_id)
        # One that never ends by itself has the time that it was given, and no other.
        late = rig.deploy(rig.project("late"), gate=rig.gate(), deadline_s=4.0, ends={"failed"})
        await rig.executor("up")
        started = asyncio.get_running_loop().time()
        clock.jump(jump)
        rig.injected(f"clock {jump}, before a deadline")
        final = await rig.database.final(late)
        took = asyncio.get_running_loop().time() - started
        assert final["data"]["reason"] == "deadline"
        assert 1 < took < 8
        await rig.done(rig.deploy(rig.project("late")))
        await rig.check()
        assert await rig.peer.agent() is session
