"""The job runner: what a step is given, how it ends, and that nothing of it is left."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import psutil
import pytest

from adapters.compose.process_identity import boot_id
from application.ports.compose_executor import ComposeAction
from tests.integration.job_runner.conftest import BLOG, Bench, over, printed
from tests.support.runs import processes_of, until


async def test_exit_code_and_output_are_the_commands(bench: Bench) -> None:
    step = await bench.start("echo out; echo err >&2; exit 7")
    ended = await over(step)
    assert (ended.exit_code, ended.ended_by) == (7, "")
    assert await printed(step) == b"out\nerr\n"
    assert ended.output_bytes == 8
    assert ended.output_sha256 == hashlib.sha256(b"out\nerr\n").hexdigest()


async def test_the_command_gets_what_compose_needs_and_nothing_else(
    bench: Bench, token: str
) -> None:
    step = await bench.start(
        'for argument; do echo "<$argument>"; done; pwd; cat; env | sort', token=token
    )
    await over(step)
    lines = (await printed(step)).decode().splitlines()
    assert lines[:2] == ["<compose>", "<--ansi>"]
    assert lines[lines.index("<-p>") + 1] == "<blog>"
    assert "<--detach>" in lines
    after = lines[lines.index("<--pull>") + 2 :]
    own = {"PWD=/"}  # The shell's.
    given = {f"{name}={value}" for name, value in bench.environment.items()}
    assert after[0] == "/"
    assert set(after[1:]) - own == given | {f"INSTADEPLOY_RUN={token}"}


async def test_signals_that_the_runner_ignores_are_not_ignored_by_the_command(
    bench: Bench,
) -> None:
    step = await bench.start("kill -INT $$; echo still here")
    assert (await over(step)).exit_code == -signal.SIGINT


async def test_a_command_that_cannot_be_executed_ends_as_in_a_shell(bench: Bench) -> None:
    bench.docker("", interpreter="/no/such/interpreter")
    executor = bench.executor()
    step = await executor.start("0" * 32, ComposeAction.UP, BLOG, deadline_s=60)
    assert (await over(step)).exit_code == 127
    assert b"docker: No such file or directory" in await printed(step)


async def test_the_identity_is_the_runners_and_it_leads_a_session_of_its_own(
    bench: Bench, token: str
) -> None:
    step = await bench.start("echo $$ > $bench/pid; read _ < $bench/gate", token=token)
    command = int(await bench.said("pid"))
    runner = step.process.pid
    assert step.process.boot_id == boot_id()
    assert [process.pid for process in processes_of(token)] == [runner, command]
    assert os.getsid(runner) == os.getsid(command) == runner
    assert (os.getpgid(runner), os.getpgid(command)) == (runner, command)
    bench.open_gate()
    assert (await over(step)).exit_code == 0
    assert not psutil.pid_exists(runner)


async def test_hanging_up_and_interrupting_do_not_end_it(bench: Bench) -> None:
    step = await bench.start("echo > $bench/started; read _ < $bench/gate")
    await bench.said("started")
    for number in (signal.SIGHUP, signal.SIGINT):
        os.kill(step.process.pid, number)
    bench.open_gate()
    ended = await over(step)
    assert (ended.exit_code, ended.ended_by) == (0, "")


async def test_made_to_end_it_may_end_in_its_own_way(bench: Bench) -> None:
    script = "trap 'echo ending; exit 130' TERM; echo > $bench/started; read _ < $bench/gate"
    step = await bench.start(script)
    await bench.said("started")
    await step.end("cancel")
    ended = await over(step)
    assert (ended.exit_code, ended.ended_by) == (130, "cancel")
    assert (await printed(step)).endswith(b"ending\n")


@pytest.mark.parametrize("why", ["cancel", "deadline"])
async def test_what_ignores_the_polite_signal_is_killed(bench: Bench, token: str, why: str) -> None:
    script = "trap '' TERM; sleep 1000 & echo > $bench/started; while :; do sleep 1000; done"
    deadline_s = 0.5 if why == "deadline" else 600.0
    step = await bench.start(script, token=token, deadline_s=deadline_s)
    if why == "cancel":
        await bench.said("started")
        await step.end(why)
    ended = await over(step)
    assert (ended.exit_code, ended.ended_by) == (-signal.SIGKILL, why)
    assert processes_of(token) == []


async def test_a_signal_that_is_not_the_agents_ends_it_too_and_is_said(bench: Bench) -> None:
    step = await bench.start("echo > $bench/started; read _ < $bench/gate")
    await bench.said("started")
    os.kill(step.process.pid, signal.SIGTERM)
    ended = await over(step)
    assert (ended.exit_code, ended.ended_by) == (-signal.SIGTERM, "signal")


@pytest.mark.parametrize("start", ["sleep 1000 &", "setsid sleep 1000 &"])
async def test_a_descendant_that_holds_the_output_open_does_not_hold_up_the_exit(
    bench: Bench, token: str, start: str
) -> None:
    step = await bench.start(f"{start} echo done", token=token)
    ended = await over(step)
    assert (ended.exit_code, ended.ended_by) == (0, "")
    assert await printed(step) == b"done\n"
    assert processes_of(token) == []


async def test_if_the_command_alone_is_killed_what_it_started_does_not_go_on(
    bench: Bench, token: str
) -> None:
    script = "(echo $bench > $bench/plugin; sleep 1000; echo went on > $bench/wrong) & wait"
    step = await bench.start(f"echo $$ > $bench/pid; {script}", token=token)
    await bench.said("plugin")
    os.kill(int(await bench.said("pid")), signal.SIGKILL)
    ended = await over(step)
    assert (ended.exit_code, ended.ended_by) == (-signal.SIGKILL, "")
    assert processes_of(token) == []
    assert not bench.has_said("wrong")


async def test_if_its_whole_group_is_killed_that_is_its_exit(bench: Bench) -> None:
    step = await bench.start("sleep 1000 & echo $$ > $bench/pid; wait")
    os.killpg(int(await bench.said("pid")), signal.SIGKILL)
    assert (await over(step)).exit_code == -signal.SIGKILL


async def test_a_hundred_megabytes_are_counted_in_bounded_memory_and_space(
    bench: Bench, token: str
) -> None:
    script = (
        "echo first; head -c 100000000 /dev/zero | tr '\\0' x; echo; echo last; "
        "echo > $bench/printed; read _ < $bench/gate"
    )
    step = await bench.start(script, token=token)
    await bench.said("printed")
    await until(lambda: (bench.runs / token / "output").stat().st_size == 4 * 1024 * 1024)
    status = Path(f"/proc/{step.process.pid}/status").read_text(encoding="ascii")
    (peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    assert int(peak) < 24 * 1024
    bench.open_gate()
    ended = await over(step)
    everything = b"first\n" + b"x" * 100_000_000 + b"\nlast\n"
    assert ended.output_bytes == len(everything)
    assert ended.output_sha256 == hashlib.sha256(everything).hexdigest()
    assert (ended.head_bytes, ended.tail_bytes) == (4 * 1024 * 1024, 256 * 1024)
    kept = await printed(step)
    assert kept == everything[: ended.head_bytes] + everything[-ended.tail_bytes :]
    used = sum(path.stat().st_size for path in (bench.runs / token).iterdir())
    assert used < 5 * 1024 * 1024
