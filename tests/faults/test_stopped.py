"""One side is stopped with SIGSTOP while a job runs, and goes on later as if nothing had been.

For the agent this is also an event loop that is blocked.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.faults.counting import is_thorough, seeds
from tests.faults.rig import Rig
from tests.support.ports import reserved_port

ROW = "SIGSTOP and SIGCONT"
SHORT_S = 10.0 if is_thorough() else 3.0
LONG_S = 60.0
NOTICED_WITHIN_S = 45.0
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", seeds())
async def test_the_agent_for_a_while(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        session = await rig.peer.agent()
        job_id = rig.deploy(rig.project())
        await asyncio.sleep(dice.uniform(0, 0.9))
        rig.count_if_open(job_id, f"agent stopped for {SHORT_S:g} s")
        rig.agent.signal(signal.SIGSTOP)
        await asyncio.sleep(SHORT_S)
        rig.agent.signal(signal.SIGCONT)
        await rig.done(job_id)
        await rig.check()
        assert await rig.peer.agent() is session
        assert _connections(rig, rig.port) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds(at_most=20))
async def test_the_agent_for_so_long_that_it_is_noticed(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig:
        await rig.agent.start()
        session = await rig.peer.agent()
        gate = rig.gate()
        job_id = rig.deploy(rig.project(), gate=gate)
        await rig.executor("up")
        await asyncio.sleep(dice.uniform(0, 15))
        rig.injected(f"agent stopped for {LONG_S:g} s")
        rig.agent.signal(signal.SIGSTOP)
        stopped = asyncio.get_running_loop().time()
        async with asyncio.timeout(NOTICED_WITHIN_S):
            await session.over.wait()
        took = asyncio.get_running_loop().time() - stopped
        rig.verdict.measure("until the control plane notices", took)
        gate.open()
        await asyncio.sleep(LONG_S - took)
        rig.agent.signal(signal.SIGCONT)
        await rig.done(job_id)
        await rig.check()
        assert await rig.peer.agent() is not session
        assert _connections(rig, rig.port) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds())
async def test_the_control_plane_for_a_while(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig, _relay(rig) as (relay, port):
        await rig.agent.start()
        session = await rig.peer.agent()
        job_id = rig.deploy(rig.project())
        await asyncio.sleep(dice.uniform(0, 0.9))
        rig.count_if_open(job_id, f"control plane stopped for {SHORT_S:g} s")
        relay.send_signal(signal.SIGSTOP)
        await asyncio.sleep(SHORT_S)
        relay.send_signal(signal.SIGCONT)
        await rig.done(job_id)
        await rig.check()
        assert await rig.peer.agent() is session
        assert _connections(rig, port) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("seed", seeds(at_most=20))
async def test_the_control_plane_for_so_long_that_it_is_noticed(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Rig(tmp_path, ROW) as rig, _relay(rig) as (relay, port):
        await rig.agent.start()
        await rig.peer.agent()
        gate = rig.gate()
        job_id = rig.deploy(rig.project(), gate=gate)
        await rig.executor("up")
        await asyncio.sleep(dice.uniform(0, 15))
        rig.injected(f"control plane stopped for {LONG_S:g} s")
        relay.send_signal(signal.SIGSTOP)
        stopped = asyncio.get_running_loop().time()
        await rig.until(
            lambda: "connecting again in" in rig.agent.log(),
            "the agent to notice",
            within_s=NOTICED_WITHIN_S,
        )
        took = asyncio.get_running_loop().time() - stopped
        rig.verdict.measure("until the agent notices", took)
        gate.open()
        await asyncio.sleep(LONG_S - took)
        relay.send_signal(signal.SIGCONT)
        await rig.done(job_id)
        await rig.check()
        await rig.until(lambda: _connections(rig, port) == 1, "one connection")


@contextlib.asynccontextmanager
async def _relay(rig: Rig) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A program that can be stopped in the control plane's place."""
    with reserved_port() as port:
        rig.agent.url = f"ws://127.0.0.1:{port}/ws"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.relay", str(port), str(rig.port)), cwd=ROOT
        )
        try:
            yield process, port
        finally:
            process.kill()
            await process.wait()


def _connections(rig: Rig, port: int) -> int:
    """How many the agent has to its control plane."""
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.raddr.port == port
        for one in psutil.Process(rig.agent.pid).net_connections("tcp")
        if one.raddr
    )
