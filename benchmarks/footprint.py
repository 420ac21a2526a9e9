"""What an agent costs that has nothing to do: start, memory, processor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from benchmarks.deploying import COMPOSE
from benchmarks.figures import MEBIBYTE, Figure, Unit, at_most
from benchmarks.procfs import cpu_seconds, proportional_bytes, resident_bytes
from benchmarks.sample import Sample, differences
from benchmarks.stage import RunningAgent, Stage

SETTLE_S: Final = 2.0
ROUNDS_OF_COMMANDS: Final = 10
COMMANDS: Final = ("a fresh deploy", "8 STATUS", "10 HEALTH_CHECK", "a stop")


async def measure_start(stage: Stage) -> Sequence[Figure]:
    """From the start of the process to the upgrade request's arrival."""
    seconds = []
    async with stage.secure_control_plane() as (plane, ca_file):
        for number in range(stage.effort.starts + 1):
            async with stage.connected_agent(plane, ca_file=ca_file) as agent:
                if number:  # The first one reads the disk.
                    seconds.append(agent.connected_s)
    note = "process started to upgrade request seen, over TLS; files in the page cache"
    return [Figure("start to connected", Sample(tuple(seconds)), Unit.SECONDS, at_most(0.4), note)]


async def measure_memory(stage: Stage) -> Sequence[Figure]:
    """RSS and PSS of new agents, idle over TLS, and of the same ones after 200 commands.

    Then of those whose hosts have keys, which speak protocol v2.
    """
    idle, later, with_key = [], [], []
    for number in range(stage.effort.agents):
        project = stage.project(f"memory-{number}")
        try:
            async with stage.secure_agent() as agent:
                idle.append(await _settled(agent.pid))
                await _two_hundred_commands(agent, project, COMPOSE.format(image=stage.image))
                later.append(await _settled(agent.pid))
        finally:
            stage.take_down(project)
        async with stage.enrolled_agent() as pid:
            with_key.append(await _settled(pid))
    rss, pss = (Sample(values) for values in zip(*idle, strict=True))
    later_rss, later_pss = (Sample(values) for values in zip(*later, strict=True))
    key_rss, key_pss = (Sample(values) for values in zip(*with_key, strict=True))
    rounds = f"{ROUNDS_OF_COMMANDS} times " + ", ".join(COMMANDS)
    return [
        Figure("idle: RSS", rss, Unit.MEBIBYTES, at_most(50), "connected over TLS"),
        Figure("idle: PSS", pss, Unit.MEBIBYTES),
        Figure("idle, by key: RSS", key_rss, Unit.MEBIBYTES, at_most(50), "over TLS and v2"),
        Figure("idle, by key: PSS", key_pss, Unit.MEBIBYTES),
        Figure("after 200 commands: RSS", later_rss, Unit.MEBIBYTES, note=rounds),
        Figure("after 200 commands: PSS", later_pss, Unit.MEBIBYTES),
        Figure("after 200 commands: growth of RSS", differences(later_rss, rss), Unit.MEBIBYTES),
    ]


async def measure_idle_cpu(stage: Stage) -> Sequence[Figure]:
    """The processor time of an idle minute, in percent of one core."""
    idle_s = stage.effort.idle_s
    async with stage.secure_agent() as agent:
        await asyncio.sleep(SETTLE_S)
        before = cpu_seconds(agent.pid)
        await asyncio.sleep(idle_s)
        used_s = cpu_seconds(agent.pid) - before
    percent = Sample((100 * used_s / idle_s,))
    note = f"utime and stime over {idle_s:g} s, connected over TLS, in ticks of 10 ms"
    return [Figure("idle: CPU, of one core", percent, Unit.PERCENT, at_most(0.1), note)]


async def _settled(pid: int) -> tuple[float, float]:
    await asyncio.sleep(SETTLE_S)
    return resident_bytes(pid) / MEBIBYTE, proportional_bytes(pid) / MEBIBYTE


async def _two_hundred_commands(agent: RunningAgent, project: str, compose: str) -> None:
    for _ in range(ROUNDS_OF_COMMANDS):
        await agent.link.deploy(project, compose)
        for _ in range(8):
            await agent.link.status(project)
        for _ in range(10):
            await agent.link.health()
        await agent.link.stop(project)
