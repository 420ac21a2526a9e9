"""How far memory goes up for a large compose file, and for a flood of output."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.figures import MEBIBYTE, Figure, Unit, at_most
from benchmarks.large_compose import HEAD, inline_content, many_services
from benchmarks.procfs import forget_peak, peak_bytes, resident_bytes
from benchmarks.sample import Sample, differences
from benchmarks.stage import RunningAgent, Stage

SETTLE_S: Final = 1.0
TALKS: Final = "a `docker` that talks before it works"
SMALL_OUTPUT: Final = 1_000_000
LARGE_OUTPUT: Final = 100_000_000
TALKATIVE_DOCKER: Final = """\
#!/bin/sh
case " $* " in
  *" up "*) yes ' Container a-project-web-1  Creating, and a line that goes on' | head -c {size} ;;
esac
exec {docker} "$@"
"""
"""The real one, which has much to say before it applies a file."""


async def measure_compose_file(stage: Stage) -> Sequence[Figure]:
    """The peak above idle of deploying files just under 1 MiB, to new agents."""
    services = many_services(stage.image)
    content = inline_content(stage.image)
    return [
        await _file_figure(
            stage,
            services.text,
            f"1 MiB compose file, {services.count} services: peak above idle",
            "all but one in a profile that is not active",
        ),
        await _file_figure(
            stage,
            content.text,
            "1 MiB compose file, one inline config: peak above idle",
            "one service, and `configs: content:` of a single block scalar",
        ),
    ]


async def _file_figure(stage: Stage, compose: str, name: str, note: str) -> Figure:
    project = stage.project("large")
    peaks = []
    for _ in range(stage.effort.agents):
        try:
            async with stage.secure_agent() as agent:
                peaks.append(await _peak_of_deploy(agent, project, compose))
        finally:
            stage.take_down(project)
    note = f"{len(compose.encode()):,} bytes; a new agent's first deploy; {note}"
    return Figure(name, Sample(tuple(peaks)), Unit.MEBIBYTES, at_most(10), note)


async def measure_output(stage: Stage) -> Sequence[Figure]:
    """The peak above idle of deploys that print 1 MB and 100 MB, in turn, to new agents."""
    small, large = [], []
    for _ in range(stage.effort.agents):
        small.append(await _peak_of_output(stage, SMALL_OUTPUT))
        large.append(await _peak_of_output(stage, LARGE_OUTPUT))
    few, many = Sample(tuple(small)), Sample(tuple(large))
    return [
        Figure("1 MB of output: peak above idle", few, Unit.MEBIBYTES, note=TALKS),
        Figure("100 MB of output: peak above idle", many, Unit.MEBIBYTES, note=TALKS),
        Figure(
            "100 MB of output: peak above that of 1 MB",
            differences(many, few),
            Unit.MEBIBYTES,
            at_most(1),
            "flat: a hundred times the output in the same memory",
        ),
    ]


async def _peak_of_output(stage: Stage, size: int) -> float:
    docker = shutil.which("docker")
    script = TALKATIVE_DOCKER.format(size=size, docker=docker)
    programs = _programs(stage.home / f"prints-{size}", script)
    project = stage.project("talkative")
    try:
        async with stage.secure_agent(programs=programs) as agent:
            return await _peak_of_deploy(agent, project, HEAD.format(image=stage.image))
    finally:
        stage.take_down(project)


async def _peak_of_deploy(agent: RunningAgent, project: str, compose: str) -> float:
    await asyncio.sleep(SETTLE_S)
    idle = resident_bytes(agent.pid)
    forget_peak(agent.pid)
    await agent.link.deploy(project, compose)
    return (peak_bytes(agent.pid) - idle) / MEBIBYTE


def _programs(directory: Path, docker: str) -> Path:
    directory.mkdir(exist_ok=True)
    program = directory / "docker"
    program.write_text(docker, encoding="ascii")
    program.chmod(0o755)
    return directory
