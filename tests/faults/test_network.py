"""The network between an agent and its control plane fails while jobs run: in namespaces of the test's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.counting import choice, seeds
from tests.faults.networks import BOTH, TO_AGENT, TO_PEER, Direction, Network
from tests.faults.rig import Rig

ROW = "network"
NOTICED_WITHIN_S = 45.0
HOLES: dict[str, tuple[Direction, ...]] = {
    "both directions": BOTH,
    "to the agent": (TO_AGENT,),
    "to the control plane": (TO_PEER,),
}


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.mark.parametrize("hole", choice(HOLES, "both directions"))
@pytest.mark.parametrize("seed", seeds())
async def test_a_black_hole_while_a_job_runs(
    tmp_path: Path, network: Network, hole: str, seed: int
) -> None:
    dice = random.Random(f"{hole}/{seed}")
    async with Rig(tmp_path, ROW, network=network) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        for _ in range(2):
            job_id = rig.deploy(rig.project())
            await asyncio.sleep(dice.uniform(0, 0.9))
            rig.count_if_open(job_id, f"black hole, {hole}")
            network.drop(*HOLES[hole])
            await asyncio.sleep(dice.uniform(0.5, 3))
            await _heal(rig, network)
            await rig.done(job_id)
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize("seed", seeds(at_most=8))
async def test_a_half_open_link_is_noticed_by_both_sides(
    tmp_path: Path, network: Network, hole: str, seed: int
) -> None:
    dice = random.Random(f"{hole}/{seed}")
    async with Rig(tmp_path, ROW, network=network) as rig:
        await rig.agent.start()
        session = await rig.peer.agent()
        gate = rig.gate()
        job_id = rig.deploy(rig.project(), gate=gate)
        await rig.executor("up")
        await asyncio.sleep(dice.uniform(0, 15))
        rig.injected(f"half-open, {hole}")
        network.drop(*HOLES[hole])
        began = asyncio.get_running_loop().time()

        async def noticed(by: str, condition: asyncio.Event | None = None) -> None:
            if condition is not None:
                async with asyncio.timeout(NOTICED_WITHIN_S):
                    await condition.wait()
            else:
                lost = rig.agent.log().count("connecting again in")
                await rig.until(
                    lambda: rig.agent.log().count("connecting again in") > lost,
                    f"{by} to notice",
                    within_s=NOTICED_WITHIN_S,
                )
            took = asyncio.get_running_loop().time() - began
            rig.verdict.measure(f"until {by} notices", took)

        await asyncio.gather(noticed("the control plane", session.over), noticed("the agent"))
        gate.open()
        await _heal(rig, network)
        await rig.done(job_id)
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_resets_while_a_job_runs(tmp_path: Path, network: Network, seed: int) -> None:
    """The connection there is, and every dial, is answered with a reset."""
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW, network=network) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        for _ in range(2):
            job_id = rig.deploy(rig.project())
            await asyncio.sleep(dice.uniform(0, 0.9))
            rig.count_if_open(job_id, "resets")
            network.reset()
            await asyncio.sleep(dice.uniform(0.5, 3))
            await _heal(rig, network)
            await rig.done(job_id)
        await rig.check()


@pytest.mark.parametrize("end", choice(("its own end", "the far end"), "its own end"))
@pytest.mark.parametrize("seed", seeds())
async def test_the_link_goes_down_and_comes_up(
    tmp_path: Path, network: Network, end: str, seed: int
) -> None:
    dice = random.Random(f"{end}/{seed}")
    async with Rig(tmp_path, ROW, network=network) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        for _ in range(2):
            job_id = rig.deploy(rig.project())
            await asyncio.sleep(dice.uniform(0, 0.9))
            rig.count_if_open(job_id, f"link down, at {end}")
            network.down(far=end == "the far end")
            await asyncio.sleep(dice.uniform(0.5, 3))
            network.up(far=end == "the far end")
            await rig.done(job_id)
        await rig.check()


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_a_third_of_all_packets_is_lost(tmp_path: Path, network: Network, seed: int) -> None:
    async with Rig(tmp_path, ROW, network=network) as rig:
        await rig.agent.start()
        await rig.peer.agent()
        rig.injected("a third of the packets lost")
        network.lose(0.3)
        for number in range(2):
            await rig.done(rig.deploy(rig.project(number)))
        network.heal()
        await rig.check()


async def _heal(rig: Rig, network: Network) -> None:
    """Let everything through, and measure until a command arrives."""
    network.heal()
    started = asyncio.get_running_loop().time()
    question = rig.database.issue("HEALTH_CHECK", {})
    await rig.database.answer(question)
    rig.verdict.measure("until it is back", asyncio.get_running_loop().time() - started)
