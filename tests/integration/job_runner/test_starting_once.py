"""A token starts one step, whoever claims it first; an agent that gives it up prevents it for ever."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from adapters.compose.run_directory import RunDirectory
from application.ports.compose_executor import ComposeAction
from domain.errors import Conflict, RuntimeUnavailable, StorageUnavailable
from entrypoints.job_runner.location import runner_command
from tests.integration.job_runner.conftest import BLOG, Bench, over
from tests.support.runs import processes_of, until

UP = ComposeAction.UP
ENV = "/usr/bin/env"


def launch(bench: Bench, run: RunDirectory) -> subprocess.Popen[bytes]:
    """A job runner, as the executor starts it."""
    own = (str(run.path), str(bench.directory / "lock"), "60", "1", "1000", "100", "--")
    return subprocess.Popen(
        [*runner_command(), *own, str(bench.directory / "bin" / "docker")],
        env=bench.environment | {"INSTADEPLOY_RUN": run.path.name},
        start_new_session=True,
        cwd="/",
    )


async def test_of_many_runners_of_one_run_one_starts_the_command(bench: Bench, token: str) -> None:
    bench.docker("echo $$ >> $bench/ran")
    run = RunDirectory(bench.runs / token)
    run.create()
    runners = [launch(bench, run) for _ in range(8)]
    # The one that ends last may kill others that carry its mark; in life there are none.
    assert {runner.wait() for runner in runners} <= {0, -signal.SIGKILL}
    assert len((bench.directory / "ran").read_text(encoding="ascii").splitlines()) == 1
    claim = run.claim()
    assert claim is not None
    assert claim.pid in [runner.pid for runner in runners]


async def test_a_run_that_was_revoked_is_not_started_by_a_runner_that_comes_late(
    bench: Bench, token: str
) -> None:
    bench.docker("echo > $bench/ran")
    run = RunDirectory(bench.runs / token)
    run.create()
    assert await bench.executor().find(token) is None
    assert launch(bench, run).wait() == 0
    assert not bench.has_said("ran")
    assert (await bench.executor().find(token), run.exit()) == (None, None)
    with pytest.raises(Conflict):
        await bench.executor().start(token, UP, BLOG, deadline_s=60)


async def test_a_runner_imports_next_to_nothing_before_it_claims_its_run(
    bench: Bench, token: str
) -> None:
    run = RunDirectory(bench.runs / token)
    run.create()
    run.claim_or_revoke()
    imported = imported_by_runner(run, bench.directory / "lock")
    assert "select" in imported
    assert not imported & {
        "signal",
        "enum",
        "re",
        "subprocess",
        "json",
        "hashlib",
        "pathlib",
        "site",
    }
    assert not imported & {"domain", "application", "adapters", "entrypoints"}


async def test_finding_and_starting_at_once_agree(bench: Bench, token: str) -> None:
    bench.docker("echo $$ >> $bench/ran")
    run = RunDirectory(bench.runs / token)
    run.create()
    runner = launch(bench, run)
    found = await bench.executor().find(token)
    if found is not None:
        assert (await over(found)).exit_code == 0
    runner.wait()
    assert bench.has_said("ran") == (found is not None)


async def test_a_runner_that_hangs_before_it_has_begun_is_given_up_with_its_start(
    bench: Bench, token: str
) -> None:
    bench.docker("echo > $bench/ran")
    late = f'echo $$ > {bench.directory}/late; read _ < {bench.directory}/gate; exec "$@"'
    executor = bench.executor(runner=("/bin/sh", "-c", late, "sh", *runner_command()))
    starting = asyncio.create_task(executor.start(token, UP, BLOG, deadline_s=60))
    runner = int(await bench.said("late"))
    looking = asyncio.create_task(executor.find(token))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await looking is None
    bench.open_gate()
    await until(lambda: runner not in [process.pid for process in processes_of(token)])
    assert not bench.has_said("ran")


@pytest.mark.parametrize(
    ("runner", "cause"),
    [
        ((ENV, "/no/such/python", "-I"), "No such file or directory"),
        (("/bin/sh", "-c", "echo 'ImportError: broken' >&2; exit 1"), "ImportError: broken"),
        (("/bin/sh", "-c", "kill -KILL $$"), "it was killed"),
    ],
)
async def test_a_runner_that_cannot_start_is_said_and_leaves_nothing(
    bench: Bench, token: str, runner: tuple[str, ...], cause: str
) -> None:
    bench.docker("echo > $bench/ran")
    executor = bench.executor(runner=runner)
    with pytest.raises(RuntimeUnavailable, match=cause):
        await executor.start(token, UP, BLOG, deadline_s=60)
    assert await executor.known_tokens() == frozenset()
    assert await executor.find(token) is None
    assert processes_of(token) == []


async def test_a_runner_that_is_killed_before_it_has_begun_is_started_again(
    bench: Bench, token: str
) -> None:
    bench.docker("echo >> $bench/ran")
    once = f"[ -e {bench.directory}/no ] || {{ echo > {bench.directory}/no; kill -KILL $$; }}"
    runner = ("/bin/sh", "-c", f'{once}; exec "$@"', "sh", *runner_command())
    step = await bench.executor(runner=runner).start(token, UP, BLOG, deadline_s=60)
    assert (await over(step)).exit_code == 0
    assert (bench.directory / "ran").read_text(encoding="ascii") == "\n"


async def test_without_docker_nothing_is_started(bench: Bench, token: str) -> None:
    bench.environment["PATH"] = str(bench.directory)
    with pytest.raises(RuntimeUnavailable, match="no program 'docker'"):
        await bench.executor().start(token, UP, BLOG, deadline_s=60)
    assert not bench.runs.exists()


async def test_a_cancelled_start_at_any_moment_runs_once_or_never(bench: Bench) -> None:
    bench.docker("echo $INSTADEPLOY_RUN >> $bench/ran")
    executor, tokens = bench.executor(), [f"{number:032x}" for number in range(40)]
    expected = []
    for number, token in enumerate(tokens):
        starting = asyncio.create_task(executor.start(token, UP, BLOG, deadline_s=60))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(starting), number / 1000)
        starting.cancel()
        await asyncio.wait({starting})
        found = await bench.executor().find(token)
        if found is not None:
            expected.append(token)
            assert (await over(found)).exit_code == 0
    ran = bench.directory / "ran"
    lines = ran.read_text(encoding="ascii").splitlines() if ran.exists() else []
    assert lines == expected


async def test_many_steps_leave_no_process_and_no_descriptor(bench: Bench) -> None:
    bench.docker("echo x >&2")
    executor = bench.executor()

    async def one(number: int) -> None:
        token = f"{os.getpid():016x}{number:016x}"
        step = await executor.start(token, UP, BLOG, deadline_s=60)
        assert (await over(step)).exit_code == 0
        await executor.discard(token)
        assert processes_of(token) == []

    await one(0)
    before = descriptors()
    async with asyncio.TaskGroup() as steps:
        for number in range(1, 25):
            steps.create_task(one(number))
    assert descriptors() == before
    assert list(bench.runs.iterdir()) == []


async def test_what_is_on_the_disk_is_the_agents_alone(bench: Bench, token: str) -> None:
    umask = os.umask(0)
    try:
        await over(await bench.start("echo secret", token=token))
    finally:
        os.umask(umask)
    for path in [bench.runs, *bench.runs.rglob("*"), bench.locks, *bench.locks.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


async def test_a_lock_directory_of_somebody_else_is_not_used(bench: Bench, token: str) -> None:
    bench.docker("echo > $bench/ran")
    elsewhere = bench.directory / "elsewhere"
    elsewhere.mkdir()
    bench.locks.symlink_to(elsewhere)
    with pytest.raises(StorageUnavailable, match="AGENT_LOCK_DIR"):
        await bench.executor().start(token, UP, BLOG, deadline_s=60)
    assert list(elsewhere.iterdir()) == []
    assert not bench.has_said("ran")


def imported_by_runner(run: RunDirectory, lock: Path) -> set[str]:
    """The modules that a job runner imports which finds its run revoked."""
    program, *options = runner_command()
    own = (str(run.path), str(lock), "60", "1", "1000", "100", "--", "true")
    listed = subprocess.run(
        [program, "-X", "importtime", *options, *own],
        env={"INSTADEPLOY_RUN": run.path.name},
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in listed.stderr.splitlines()}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
