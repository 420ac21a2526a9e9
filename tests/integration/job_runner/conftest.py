"""Job runners with a program of the test's own in the place of `docker`."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.compose.supervised import StepBounds, SupervisedComposeExecutor
from adapters.compose.supervised_step import SupervisedStep
from application.ports.compose_executor import ComposeAction
from domain.project import Project, ProjectName
from domain.records import StepExit
from entrypoints.job_runner.location import runner_command
from tests.support.runs import PATIENCE_S, all_collected, end_all, until

BLOG = Project(ProjectName("Blog"), "/srv/Blog", "/srv/Blog/docker-compose.yml")
DOCKER_HOST = "unix:///var/run/docker.sock"
BOUNDS = StepBounds(grace_s=0.2)


class Bench:
    """One host: a directory for runs, one for locks, and a `docker` that is a shell script.

    In the script, `$bench` is a directory that it shares with the test; it waits for the test by
    `read _ < $bench/gate`.
    """

    def __init__(self, directory: Path, threads: Executor) -> None:
        self.directory = directory
        self.runs = directory / "runs"
        self.locks = directory / "locks"
        self._threads = threads
        self._bin = directory / "bin"
        self._bin.mkdir()
        self.environment = {"PATH": f"{self._bin}:{os.environ['PATH']}", "HOME": "/nowhere"}
        os.mkfifo(directory / "gate")

    def docker(self, script: str, *, interpreter: str = "/bin/sh") -> None:
        """Say what `docker` is from now on."""
        program = self._bin / "docker"
        program.write_text(f"#!{interpreter}\nbench={self.directory}\n{script}\n", encoding="ascii")
        program.chmod(0o755)

    def executor(
        self,
        *,
        bounds: StepBounds = BOUNDS,
        runner: tuple[str, ...] = runner_command(),
        runs: Path | None = None,
        lock_dir: Path | None = None,
    ) -> SupervisedComposeExecutor:
        """An agent's, who knows only what is on the disk."""
        return SupervisedComposeExecutor(
            runs or self.runs,
            lock_dir or self.locks,
            docker_host=DOCKER_HOST,
            environment=self.environment,
            executor=self._threads,
            runner=runner,
            bounds=bounds,
        )

    async def start(
        self, script: str, *, token: str = "", deadline_s: float = 600.0
    ) -> SupervisedStep:
        """A step whose `docker` is this script."""
        self.docker(script)
        return await self.executor().start(
            token or secrets.token_hex(16), ComposeAction.UP, BLOG, deadline_s=deadline_s
        )

    async def said(self, name: str) -> str:
        """What the script has written to a file of this name, when it is a whole line."""
        path = self.directory / name
        await until(lambda: path.exists() and path.read_text(encoding="ascii").endswith("\n"))
        return path.read_text(encoding="ascii").strip()

    def has_said(self, name: str) -> bool:
        return (self.directory / name).exists()

    def open_gate(self) -> None:
        """Let the script go on that waits; it must have said that it is about to."""
        fd = os.open(self.directory / "gate", os.O_RDWR)
        os.write(fd, b"\n")
        # Kept open: a reader that comes later finds the line, and no end of the file.
        self.gate = fd


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
async def bench(tmp_path: Path, threads: Executor) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, threads)
    yield bench
    await end_all(bench.executor())
    await all_collected()
    if hasattr(bench, "gate"):
        os.close(bench.gate)


@pytest.fixture
def token() -> str:
    return secrets.token_hex(16)


async def over(step: SupervisedStep) -> StepExit:
    """The exit of a step that is not interrupted, and ends soon."""
    async with asyncio.timeout(PATIENCE_S):
        ended = await step.wait()
    assert ended is not None
    return ended


async def interrupted(step: SupervisedStep) -> bool:
    """Whether it ended with no exit recorded; it ends soon."""
    async with asyncio.timeout(PATIENCE_S):
        return await step.wait() is None


async def printed(step: SupervisedStep) -> bytes:
    """All that is kept of what it printed, however much that is."""
    offset, kept = 0, b""
    while True:
        offset, more = await step.output(offset, 1024 * 1024)
        if not more:
            return kept
        kept += more
        offset += len(more)
