"""How soon commands are acknowledged, and how many are answered when they come all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from benchmarks.control_plane import AgentLink, Burst, control_plane
from benchmarks.figures import Figure, Unit, at_least, at_most
from benchmarks.sample import Sample
from benchmarks.stage import Stage

SERIES: Final = 3
PAUSE_S: Final = 0.005
"""Between commands, so that the agent has confirmed the last result and is idle again."""


async def measure_acknowledgement(stage: Stage) -> Sequence[Figure]:
    """HEALTH_CHECKs one by one; percentiles of each of some series."""
    count = stage.effort.acknowledgements
    async with control_plane() as plane, stage.connected_agent(plane) as agent:
        await _acknowledgements(agent.link, 20)
        series = [await _acknowledgements(agent.link, count) for _ in range(SERIES)]
    note = f"HEALTH_CHECK to an idle agent over ws; each of {SERIES} series has {count} commands"
    p50 = Sample(tuple(1000 * one.percentile(50) for one in series))
    p99 = Sample(tuple(1000 * one.percentile(99) for one in series))
    return [
        Figure("command to acknowledgement, p50", p50, Unit.MILLISECONDS, at_most(2), note),
        Figure("command to acknowledgement, p99", p99, Unit.MILLISECONDS),
    ]


async def _acknowledgements(link: AgentLink, count: int) -> Sample:
    seconds = []
    for _ in range(count):
        seconds.append((await link.health()).acknowledged_s)
        await asyncio.sleep(PAUSE_S)
    return Sample(tuple(seconds))


async def measure_bursts(stage: Stage) -> Sequence[Figure]:
    """Bursts of HEALTH_CHECKs; the first finds an agent new, with all still to be found out."""
    size, count = stage.effort.burst, stage.effort.bursts
    first: list[Burst] = []
    later: list[Burst] = []
    for _ in range(stage.effort.agents):
        async with control_plane() as plane, stage.connected_agent(plane) as agent:
            first.append(await agent.link.burst(size))
            later += [await agent.link.burst(size) for _ in range(count)]
    bursts = first + later
    return [
        Figure(
            f"{size:,} pipelined HEALTH_CHECKs: completed",
            Sample(tuple(float(burst.completed) for burst in bursts)),
            Unit.COUNT,
            at_least(size, every_time=True),
            "judged on the smallest",
        ),
        Figure(
            f"{size:,} pipelined HEALTH_CHECKs: busy",
            Sample(tuple(float(burst.busy) for burst in bursts)),
            Unit.COUNT,
            at_most(0, every_time=True),
            "judged on the largest",
        ),
        Figure(
            f"{size:,} pipelined HEALTH_CHECKs: rate",
            _rate(later),
            Unit.PER_SECOND,
            at_least(2000),
            "from the first sent to the last answered, over ws",
        ),
        Figure(
            "the first burst of a new agent: rate",
            _rate(first),
            Unit.PER_SECOND,
            note="it asks the engine and starts `docker compose version` meanwhile",
        ),
    ]


def _rate(bursts: Sequence[Burst]) -> Sample:
    return Sample(tuple(burst.completed / burst.seconds for burst in bursts))
