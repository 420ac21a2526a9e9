"""Agents and job runners that are killed, machines that are started anew, numbers given again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from adapters.compose.process_identity import boot_id
from adapters.compose.run_directory import EXIT_BYTES, RunDirectory
from adapters.compose.supervised import StepBounds
from application.ports.compose_executor import ComposeAction
from tests.integration.job_runner.conftest import (
    BLOG,
    DOCKER_HOST,
    Bench,
    interrupted,
    over,
    printed,
)
from tests.support.runs import PATIENCE_S, kill_wholly, processes_of, until

HANGING = "echo before; echo $$ > $bench/pid; sleep 1000 & setsid sleep 1000 & read _ < $bench/gate"

AGENT = """
import asyncio, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from adapters.compose.supervised import SupervisedComposeExecutor
from application.ports.compose_executor import ComposeAction
from domain.project import Project, ProjectName
from entrypoints.job_runner.location import runner_command

async def main(runs, locks, docker_host, path, token):
    executor = SupervisedComposeExecutor(
        Path(runs), Path(locks), docker_host=docker_host, environment={"PATH": path},
        executor=ThreadPoolExecutor(2), runner=runner_command(),
    )
    project = Project(ProjectName("Blog"), "/srv/Blog", "/srv/Blog/docker-compose.yml")
    step = await executor.start(token, ComposeAction.UP, project, deadline_s=600)
    print(step.process.pid, flush=True)
    await step.wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_an_agent_that_is_killed_does_not_disturb_the_step(
    bench: Bench, token: str, number: signal.Signals
) -> None:
    bench.docker("echo before; read _ < $bench/gate; echo after; exit 3")
    runner = agent_that_dies(bench, token, number)
    step = await bench.executor().find(token)
    assert step is not None
    assert step.process.pid == runner
    bench.open_gate()
    assert (await over(step)).exit_code == 3
    assert await printed(step) == b"before\nafter\n"


async def test_a_job_runner_that_is_stopped_is_killed_with_all_that_it_runs_when_it_is_to_end(
    bench: Bench, token: str
) -> None:
    bench.docker(HANGING)
    executor = bench.executor(bounds=StepBounds(grace_s=0.1, recording_s=0.1))
    step = await executor.start(token, ComposeAction.UP, BLOG, deadline_s=600)
    await bench.said("pid")
    os.kill(step.process.pid, signal.SIGSTOP)
    await step.end("cancel")
    assert await interrupted(step)
    assert processes_of(token) == []


def agent_that_dies(bench: Bench, token: str, number: signal.Signals) -> int:
    """The number of the job runner that an agent started before this signal ended the agent."""
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, bench.runs, bench.locks, DOCKER_HOST,
         bench.environment["PATH"], token],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert agent.stdout is not None
    with agent.stdout:
        runner = int(agent.stdout.readline())
        agent.send_signal(number)
        agent.wait()
    return runner


@pytest.mark.parametrize("is_watched", [True, False])
async def test_if_the_runner_is_killed_nothing_of_the_step_goes_on(
    bench: Bench, token: str, is_watched: bool
) -> None:
    step = await bench.start(HANGING, token=token)
    await bench.said("pid")
    waiting = asyncio.create_task(step.wait()) if is_watched else None
    await until(lambda: len(processes_of(token)) == 4)
    await until(lambda: (bench.runs / token / "output").read_bytes() == b"before\n")
    os.kill(step.process.pid, signal.SIGKILL)
    if waiting is None:
        await until(lambda: not psutil.pid_exists(step.process.pid))
        found = await bench.executor().find(token)
        assert found is not None
        assert await interrupted(found)
    else:
        async with asyncio.timeout(PATIENCE_S):
            assert await waiting is None
    assert processes_of(token) == []
    assert await interrupted(step)
    assert await printed(step) == b"before\n"
    await step.end("cancel")


async def test_one_that_hides_its_mark_does_not_go_on_when_the_runner_dies_under_watch(
    bench: Bench, token: str
) -> None:
    script = "env -i sh -c 'echo $$ > \"$0\"/hidden; exec sleep 1000' $bench & wait"
    step = await bench.start(script, token=token)
    hidden = int(await bench.said("hidden"))
    waiting = asyncio.create_task(step.wait())
    await asyncio.sleep(0)  # It watches.
    await until(lambda: psutil.Process(hidden).name() == "sleep")
    os.kill(step.process.pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_S):
        assert await waiting is None
    assert not is_running(hidden)


async def test_after_a_reboot_what_ran_was_interrupted(bench: Bench, token: str) -> None:
    claimed(bench, token, os.getpid(), 1, "00000000-0000-0000-0000-000000000000")
    found = await bench.executor().find(token)
    assert found is not None
    await found.end("cancel")
    assert await interrupted(found)
    assert await bench.executor().boot_id() == boot_id() != found.process.boot_id


async def test_a_process_that_was_given_the_runners_number_is_not_taken_for_it(
    bench: Bench, token: str
) -> None:
    stranger = sleeper()
    try:
        claimed(bench, token, stranger.pid, 1, boot_id())
        found = await bench.executor().find(token)
        assert found is not None
        await found.end("cancel")
        assert await interrupted(found)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_step_that_ended_before_a_reboot_has_its_exit(bench: Bench, token: str) -> None:
    step = await bench.start("echo x; exit 4", token=token)
    ended = await over(step)
    claim = next((bench.runs / token).glob("claim.*"))
    claim.rename(claim.with_name(f"claim.{os.getpid()}.1.00000000-0000-0000-0000-000000000000"))
    found = await bench.executor().find(token)
    assert found is not None
    assert await over(found) == ended


async def test_an_exit_that_was_not_written_to_its_end_is_none(bench: Bench, token: str) -> None:
    step = await bench.start("exit 4", token=token)
    assert (await over(step)).exit_code == 4
    path = bench.runs / token / "exit"
    whole = path.read_bytes()
    assert len(whole) == EXIT_BYTES
    assert json.loads(whole[:-65])["exit_code"] == 4
    spoilt = [whole.replace(b'"exit_code": 4', b'"exit_code": 0'), b"\0" * EXIT_BYTES, b""]
    for content in [*spoilt, *(whole[:length] for length in range(1, EXIT_BYTES, 37))]:
        path.write_bytes(content)
        assert RunDirectory(bench.runs / token).exit() is None
        found = await bench.executor().find(token)
        assert found is not None
        assert await interrupted(found)


async def test_what_was_printed_and_lost_with_the_power_is_skipped(
    bench: Bench, token: str
) -> None:
    step = await bench.start("echo hello", token=token)
    await over(step)
    os.truncate(bench.runs / token / "output", 2)
    found = await bench.executor().find(token)
    assert found is not None
    await over(found)
    assert await found.output(0, 100) == (0, b"he")
    assert await found.output(2, 100) == (6, b"")


async def test_what_was_left_half_discarded_goes_with_the_next_look(
    bench: Bench, token: str
) -> None:
    await over(await bench.start("true", token=token))
    (bench.runs / token).rename(bench.runs / f"{token}.discarded")
    assert await bench.executor().known_tokens() == frozenset()
    assert list(bench.runs.iterdir()) == []


async def test_a_run_directory_that_was_made_by_half_is_no_start(bench: Bench, token: str) -> None:
    (bench.runs / token).mkdir(parents=True)
    assert await bench.executor().find(token) is None
    assert await bench.executor().known_tokens() == {token}
    await bench.executor().discard(token)
    assert await bench.executor().known_tokens() == frozenset()


async def test_killed_wholly_by_the_operating_system_it_was_interrupted(
    bench: Bench, token: str
) -> None:
    step = await bench.start(HANGING, token=token)
    await bench.said("pid")
    waiting = asyncio.create_task(step.wait())
    await kill_wholly(token)
    async with asyncio.timeout(PATIENCE_S):
        assert await waiting is None


def claimed(bench: Bench, token: str, pid: int, start_time: int, boot: str) -> None:
    """A run that somebody has claimed, in the bench's place."""
    run = RunDirectory(bench.runs / token)
    run.create()
    (run.path / "unclaimed").rename(run.path / f"claim.{pid}.{start_time}.{boot}")


def sleeper() -> subprocess.Popen[bytes]:
    """A process that has nothing to do with any run."""
    return subprocess.Popen(["sleep", "1000"], start_new_session=True)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
