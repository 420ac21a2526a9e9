"""`ProcessRunner` with real processes: order, bounds, ends, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from pathlib import Path

import psutil
import pytest

from adapters.compose.process import ProcessRunner
from domain.output import BoundedOutput

PATH = os.environ["PATH"]


def shell(script: str) -> tuple[str, str]:
    return ("-c", script)


@pytest.fixture
def runner() -> ProcessRunner:
    return ProcessRunner({"PATH": PATH}, grace_s=0.2)


async def wait_for_file(path: Path) -> str:
    """Another process writes the file; what it holds is complete once it ends with a newline."""
    async with asyncio.timeout(20):
        while True:
            if path.exists() and (text := path.read_text(encoding="ascii")).endswith("\n"):
                return text
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    """A zombie does not run; one whose parent is gone is for whoever adopted it to reap."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def open_files() -> list[str]:
    """What this process holds open, the loop's own pipes and all."""
    links = []
    for number in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # The one that the list itself was read by.
            links.append(str(number.readlink()))
    return sorted(links)


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def test_the_exit_status_and_the_output_are_the_process_own(runner: ProcessRunner) -> None:
    output = BoundedOutput()
    assert await runner.run("sh", shell("echo out; exit 7"), output) == 7
    assert output.text() == "out\n"


@pytest.mark.parametrize("size", [1, 1024 * 1024])
async def test_it_reads_what_it_is_given_and_the_memory_of_that_is_gone_with_it(
    runner: ProcessRunner, size: int
) -> None:
    before = open_files()
    output = BoundedOutput(head_bytes=2 * size)
    assert await runner.run("cat", (), output, stdin=b"x" * size) == 0
    assert output.text() == "x" * size
    assert open_files() == before


async def test_without_anything_to_read_it_finds_the_end_at_once(runner: ProcessRunner) -> None:
    output = BoundedOutput()
    assert await runner.run("cat", (), output) == 0
    assert output.text() == ""


async def test_stdout_and_stderr_keep_their_order(runner: ProcessRunner) -> None:
    output = BoundedOutput()
    script = "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done"
    await runner.run("sh", shell(script), output)
    expected = "".join(f"out{i}\nerr{i}\n" for i in range(1, 6))
    assert output.text() == expected


async def test_death_by_a_signal_is_its_negative_number(runner: ProcessRunner) -> None:
    assert await runner.run("sh", shell("kill -9 $$"), BoundedOutput()) == -signal.SIGKILL


async def test_the_environment_is_exactly_the_one_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_SECRET_TOKEN", "secret")
    monkeypatch.setenv("LD_PRELOAD", "")
    output = BoundedOutput()
    runner = ProcessRunner({"PATH": PATH, "HOME": "/nowhere"})
    await runner.run("env", (), output)
    assert sorted(output.text().splitlines()) == sorted([f"PATH={PATH}", "HOME=/nowhere"])


async def test_it_runs_in_the_root_directory_with_empty_input(runner: ProcessRunner) -> None:
    output = BoundedOutput()
    assert await runner.run("sh", shell("pwd; cat; echo end"), output) == 0
    assert output.text() == "/\nend\n"


async def test_arguments_are_passed_as_they_are(runner: ProcessRunner) -> None:
    output = BoundedOutput()
    odd = ["$(id)", "; rm -rf /", "a\nb", "*", "'\"", "-x", "--", ""]
    await runner.run("printf", ("%s|", *odd), output)
    assert output.text() == "".join(f"{value}|" for value in odd)


async def test_a_program_that_is_not_there(runner: ProcessRunner) -> None:
    with pytest.raises(FileNotFoundError):
        await runner.run("no-such-program-anywhere", (), BoundedOutput())


async def test_a_program_that_cannot_be_executed(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n", encoding="ascii")
    broken.chmod(0o755)
    runner = ProcessRunner({"PATH": str(tmp_path)})
    before, output = open_descriptors(), BoundedOutput()
    assert await runner.run("broken", (), output) == 127
    assert "No such file or directory" in output.text()
    assert open_descriptors() == before
    assert children() == []


async def test_cancelling_ends_the_whole_group(runner: ProcessRunner, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 1000 & sleep 1000 & echo $$ $! > {pids}; wait"
    run = asyncio.create_task(runner.run("sh", shell(script), BoundedOutput()))
    started = [int(pid) for pid in (await wait_for_file(pids)).split()]
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not [pid for pid in started if is_running(pid)]
    assert children() == []


async def test_what_ignores_the_polite_signal_is_killed(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; echo $$ > {pids}; while :; do sleep 1000; done"
    run = asyncio.create_task(runner.run("sh", shell(script), BoundedOutput()))
    pid = int(await wait_for_file(pids))
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not is_running(pid)
    assert children() == []


async def test_a_second_cancellation_does_not_leave_the_process_behind(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; echo $$ > {pids}; while :; do sleep 1000; done"
    run = asyncio.create_task(runner.run("sh", shell(script), BoundedOutput()))
    pid = int(await wait_for_file(pids))
    run.cancel()
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not is_running(pid)


async def test_a_deadline_of_the_caller_keeps_the_output_so_far(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    output, said = BoundedOutput(), tmp_path / "said"
    script = f"echo progress; echo said > {said}; sleep 1000"
    run = asyncio.create_task(runner.run("sh", shell(script), output))
    await wait_for_file(said)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await run
    assert output.text() == "progress\n"


async def test_a_descendant_that_holds_the_output_open_does_not_hold_up_the_result(
    runner: ProcessRunner, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    output = BoundedOutput()
    code = await runner.run("sh", shell(f"sleep 1000 & echo $! > {pids}; echo done"), output)
    assert (code, output.text()) == (0, "done\n")
    left = int(await wait_for_file(pids))
    async with asyncio.timeout(20):
        while is_running(left):  # noqa: ASYNC110 - another process ends it, and tells nobody
            await asyncio.sleep(0.01)


async def test_a_hundred_megabytes_are_read_in_bounded_memory(runner: ProcessRunner) -> None:
    output = BoundedOutput()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    script = "echo first; head -c 100000000 /dev/zero | tr '\\0' x; echo; echo last"
    assert await runner.run("sh", shell(script), output) == 0
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert output.total_bytes == 100_000_012
    assert output.text().startswith("first\nxxx")
    assert output.text().endswith("xxx\nlast\n")
    assert grown_kib < 8 * 1024


async def test_many_runs_leave_no_process_and_no_descriptor(runner: ProcessRunner) -> None:
    await runner.run("true", (), BoundedOutput())
    before = open_descriptors()
    async with asyncio.TaskGroup() as runs:
        for _ in range(40):
            runs.create_task(runner.run("sh", shell("echo x >&2"), BoundedOutput()))
    assert open_descriptors() == before
    assert children() == []


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
