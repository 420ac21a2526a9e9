"""The disk with the agent's state fills up while it deploys."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.counting import seeds
from tests.faults.rig import Rig
from tests.support.control_plane import deploy_payload
from tests.support.small_disk import SmallDisk, small_disk

ROW = "disk full"
LONGEST_JOB_S = 0.9
LARGE = 256 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "home" / "state", "6m") as disk:
        yield disk


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_at_a_random_moment_of_a_deployment(
    tmp_path: Path, disk: SmallDisk, seed: int
) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path / "home", ROW) as rig:
        await rig.agent.start()
        session = await rig.peer.agent()
        pid = rig.agent.pid
        project = rig.project()
        await rig.done(rig.deploy(project))
        for _ in range(2):
            job_id = rig.deploy(project, ends={"succeeded", "failed"})
            await rig.database.answer(job_id)
            await asyncio.sleep(dice.uniform(0, LONGEST_JOB_S))
            rig.count_if_open(job_id, "disk full")
            disk.fill()
            final = await rig.database.final(job_id)
            if final["status"] == "FAILED":
                assert final["data"]["reason"] == "no_space", final
            disk.empty()
            await rig.done(rig.deploy(project))
        await rig.check()
        assert rig.agent.is_running
        assert rig.agent.pid == pid
        assert await rig.peer.agent() is session


async def test_a_full_disk_refuses_and_forgets_nothing(tmp_path: Path, disk: SmallDisk) -> None:
    async with Rig(tmp_path / "home", ROW) as rig:
        await rig.agent.start()
        session = await rig.peer.agent()
        gate = rig.gate()
        running = rig.deploy(rig.project(), gate=gate)
        await rig.executor("up")
        await rig.until(lambda: rig.effects.happened, "the first container")
        disk.fill()
        rig.injected("disk full")
        await _is_refused(rig, "small")
        # What was allocated ahead is used up too.
        for number in range(12):
            await _is_refused(rig, f"large-{number}", size=LARGE)
        gate.open()
        # What is wanted, and that it is good, is written down though there is no room.
        final = await rig.done(running)
        assert final["data"]["revision"] == 1, final
        await _is_refused(rig, "still")
        disk.empty()
        await rig.done(rig.deploy(rig.project("later")))
        await rig.done(rig.deploy(rig.project()))
        await rig.check()
        assert await rig.peer.agent() is session


async def _is_refused(rig: Rig, name: str, *, size: int = 0) -> None:
    """A new job is refused for want of space, before anything is done about it."""
    compose = f"services: {{web: {{image: none}}}}\n#{'x' * size}\n"
    job_id = rig.database.issue("DEPLOY_COMPOSE", deploy_payload(f"idfault-{name}", compose))
    answer = await rig.database.answer(job_id)
    assert (answer["type"], answer.get("reason")) == ("REJECT", "no_space"), answer
    assert not (rig.agent.home / "projects" / f"idfault-{name}").exists()
