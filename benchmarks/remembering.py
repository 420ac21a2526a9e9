"""What it costs that no job is lost: the journal on an acknowledgement, the supervisor on a step."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from adapters.compose.process import ProcessRunner
from adapters.compose.supervised import SupervisedComposeExecutor
from application.ports.compose_executor import ComposeAction
from benchmarks.control_plane import AgentLink, control_plane
from benchmarks.figures import Figure, Unit, at_least, at_most
from benchmarks.sample import Sample, differences
from benchmarks.stage import Stage
from domain.output import BoundedOutput
from domain.project import Project, ProjectName
from entrypoints.job_runner.location import runner_command

PAUSE_S: Final = 0.005
STEPS: Final = 50
PIPELINED: Final = 1000
DEADLINE_S: Final = 60.0

_Timed = Callable[[], Awaitable[float]]


async def measure_journal(stage: Stage) -> Sequence[Figure]:
    """Commands of which nothing but the journal's record differs, in turn; then many at once."""
    count = stage.effort.acknowledgements
    async with control_plane() as plane, stage.connected_agent(plane) as agent:
        await _acknowledged_s(agent.link, "STOP_COMPOSE", 20)
        plain, written = [], []
        for _ in range(count):
            plain += await _acknowledged_s(agent.link, "STATUS", 1)
            written += await _acknowledged_s(agent.link, "STOP_COMPOSE", 1)
        rates = [await agent.link.stop_unknown(PIPELINED) for _ in range(stage.effort.bursts)]
    # The difference of medians: what else happens on the machine hits both alike.
    without, with_ = (Sample(tuple(1000 * s for s in series)) for series in (plain, written))
    note = f"STOP_COMPOSE against STATUS of a project that is not there, {count} of each in turn"
    return [
        Figure("acknowledgement without the journal, p50", without, Unit.MILLISECONDS),
        Figure("acknowledgement with the journal, p50", with_, Unit.MILLISECONDS),
        Figure(
            "what the journal adds to an acknowledgement",
            Sample((with_.median - without.median,)),
            Unit.MILLISECONDS,
            at_most(5),
            note,
        ),
        Figure(
            f"{PIPELINED:,} pipelined STOP_COMPOSEs: acknowledged",
            Sample(tuple(rates)),
            Unit.PER_SECOND,
            at_least(1000),
            "each durable before it is acknowledged; from the first sent to the last acknowledged, "
            "while they are carried out and their results written too",
        ),
    ]


async def measure_supervisor(stage: Stage) -> Sequence[Figure]:
    """`/bin/true` started directly and under the supervisor, in turn."""
    async with _runners(stage) as (direct, supervised):
        pairs = [(await direct(), await supervised()) for _ in range(STEPS)]
    plain, with_ = (Sample(tuple(1000 * v for v in values)) for values in zip(*pairs, strict=True))
    note = f"/bin/true in the place of docker, {STEPS} pairs; to the exit that is on the disk"
    return [
        Figure("a step started directly", plain, Unit.MILLISECONDS),
        Figure("a step under the supervisor", with_, Unit.MILLISECONDS),
        Figure(
            "what the supervisor adds to a step",
            differences(with_, plain),
            Unit.MILLISECONDS,
            at_most(40),
            note,
        ),
    ]


async def _acknowledged_s(link: AgentLink, command_type: str, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        seconds.append(await link.acknowledged_s(command_type, {"project_name": "nothing"}))
        await asyncio.sleep(PAUSE_S)
    return seconds


@contextlib.asynccontextmanager
async def _runners(stage: Stage) -> AsyncIterator[tuple[_Timed, _Timed]]:
    home = Path(tempfile.mkdtemp(prefix="steps-", dir=stage.home))
    (home / "docker").symlink_to("/bin/true")
    environment = {"PATH": str(home)}
    project = Project(ProjectName("bench"), str(home), str(home / "docker-compose.yml"))
    runner = ProcessRunner(environment)
    with ThreadPoolExecutor(max_workers=4) as threads:
        executor = SupervisedComposeExecutor(
            home / "runs",
            home / "locks",
            docker_host=stage.docker_host,
            environment=environment,
            executor=threads,
            runner=runner_command(),
        )

        async def directly() -> float:
            began = time.perf_counter()
            exit_code = await runner.run("docker", (), BoundedOutput())
            assert exit_code == 0, exit_code
            return time.perf_counter() - began

        async def under_the_supervisor() -> float:
            began = time.perf_counter()
            token = secrets.token_hex(16)
            running = await executor.start(token, ComposeAction.UP, project, deadline_s=DEADLINE_S)
            exit_ = await running.wait()
            assert exit_ is not None, sys.executable
            assert exit_.exit_code == 0, exit_
            took = time.perf_counter() - began
            await executor.discard(token)
            return took

        yield directly, under_the_supervisor
