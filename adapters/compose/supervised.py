"""`ComposeExecutor`: every step under a job runner of its own, which the agent's death leaves alone.

The job runner is told everything by its argument list and environment, and tells everything through
the run's directory. So an agent that starts anew knows as much as the one that started the step.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from adapters.cancellation import finish_in_thread
from adapters.compose import argv
from adapters.compose.process import SPAWNS_AT_ONCE, TERMINATION_GRACE_S, ChildProcess
from adapters.compose.process_identity import RUN_MARKER, boot_id, is_running
from adapters.compose.project_lock import make_lock_file
from adapters.compose.run_directory import RunDirectory, tokens_in
from adapters.compose.supervised_step import SupervisedStep
from application.ports.compose_executor import AS_IT_IS, ComposeAction, ComposeOptions
from domain.errors import Conflict, RuntimeUnavailable, StorageUnavailable
from domain.output import BoundedOutput, cause_of_failure
from domain.project import Project
from domain.records import ProcessIdentity

T = TypeVar("T")

HEAD_BYTES: Final = 4 * 1024 * 1024
TAIL_BYTES: Final = 256 * 1024
LAUNCHES: Final = 3
"""A job runner that was killed before it had claimed its run has done nothing, and is no attempt."""

_TOKEN = re.compile(r"[0-9a-f]{32}")
_ARGUMENTS: Final[Mapping[ComposeAction, Callable[[Project, ComposeOptions], tuple[str, ...]]]] = {
    ComposeAction.PULL: argv.pull,
    ComposeAction.BUILD: argv.build,
    ComposeAction.UNPAUSE: argv.unpause,
    ComposeAction.UP: argv.up,
    ComposeAction.RESTART: argv.restart,
    ComposeAction.DOWN: argv.down,
    ComposeAction.REMOVE: argv.remove,
}


@dataclass(frozen=True, slots=True)
class StepBounds:
    """How much of a step's output is kept, first and last, and how long it may take to end."""

    head_bytes: int = HEAD_BYTES
    tail_bytes: int = TAIL_BYTES
    grace_s: float = TERMINATION_GRACE_S
    recording_s: float = 5.0
    """A job runner that has not recorded the end so long after the grace hangs, and is killed."""


class SupervisedComposeExecutor:
    """`runner` is what starts a job runner, before its own arguments; `executor` is for the disk.

    `environment` is all that Compose gets to see, but for the marker of the run. Below `runs_dir`
    is a directory a run; `lock_dir` is the same for all agents of this host.
    """

    def __init__(
        self,
        runs_dir: Path,
        lock_dir: Path,
        *,
        docker_host: str,
        environment: Mapping[str, str],
        executor: Executor,
        runner: Sequence[str],
        docker: str = "docker",
        bounds: StepBounds = StepBounds(),
    ) -> None:
        self._runs_dir = runs_dir
        self._lock_dir = lock_dir
        self._docker_host = docker_host
        self._environment = dict(environment)
        self._executor = executor
        self._runner = tuple(runner)
        self._docker = docker
        self._bounds = bounds
        self._spawning = asyncio.Semaphore(SPAWNS_AT_ONCE)
        self._starting: dict[str, asyncio.Event] = {}
        self._denied: set[str] = set()
        self._children: dict[str, ChildProcess] = {}

    async def boot_id(self) -> str:
        """See `ComposeExecutor`."""
        return boot_id()

    async def start(
        self,
        token: str,
        action: ComposeAction,
        project: Project,
        *,
        deadline_s: float,
        options: ComposeOptions = AS_IT_IS,
    ) -> SupervisedStep:
        """See `ComposeExecutor`. Raises `Conflict` where the token was used before."""
        program = shutil.which(self._docker, path=self._environment.get("PATH", ""))
        if program is None:
            raise RuntimeUnavailable(
                f"there is no program '{self._docker}' on this host's PATH; install Docker"
            )
        run = self._run(token)
        if token in self._starting or token in self._denied:
            raise Conflict(f"nothing is started under the token {token} any more")
        self._starting[token] = asyncio.Event()
        try:
            lock = await self._in_thread(partial(self._prepare, run, project))
            command = (program, *_ARGUMENTS[action](project, options))
            environment = {**self._environment, **argv.variables(project.directory)}
            if options.docker_config:
                environment["DOCKER_CONFIG"] = options.docker_config
            return await self._launch(run, (str(lock), str(deadline_s)), command, environment)
        except RuntimeUnavailable:
            await self._in_thread(partial(_forget_unclaimed, run))
            raise
        finally:
            self._starting.pop(token).set()

    async def find(self, token: str) -> SupervisedStep | None:
        """See `ComposeExecutor`."""
        run = self._run(token)
        while (under_way := self._starting.get(token)) is not None:
            await under_way.wait()
        process = await self._in_thread(run.claim_or_revoke)
        if process is None:
            self._denied.add(token)
            return None
        return self._step(run, process, self._children.get(token))

    async def discard(self, token: str) -> None:
        """See `ComposeExecutor`. Raises `Conflict` where the step is not over."""
        run = self._run(token)
        await self._in_thread(partial(_discard, run))
        self._children.pop(token, None)

    async def known_tokens(self) -> frozenset[str]:
        """See `ComposeExecutor`."""
        names = await self._in_thread(partial(tokens_in, self._runs_dir))
        return frozenset(filter(_TOKEN.fullmatch, names))

    def _run(self, token: str) -> RunDirectory:
        assert _TOKEN.fullmatch(token), "a token is 32 hexadecimal digits"
        return RunDirectory(self._runs_dir / token)

    def _prepare(self, run: RunDirectory, project: Project) -> Path:
        lock = make_lock_file(self._lock_dir, self._docker_host, project.name)
        run.create()
        return lock

    async def _launch(
        self,
        run: RunDirectory,
        arguments: tuple[str, ...],
        command: tuple[str, ...],
        environment: Mapping[str, str],
    ) -> SupervisedStep:
        bounds = self._bounds
        kept = (str(bounds.grace_s), str(bounds.head_bytes), str(bounds.tail_bytes))
        trouble = BoundedOutput()
        for _ in range(LAUNCHES):
            async with self._spawning:
                child = self._spawn(run, (*arguments, *kept, "--", *command), environment, trouble)
                await asyncio.sleep(0)  # The link gets its turn between two spawns.
            # The job runner closes its output when it has claimed the run, or dies.
            await child.drained.wait()
            process = await self._in_thread(run.claim)
            if process is not None:
                self._children[run.path.name] = child
                return self._step(run, process, child)
            await child.ended.wait()
            if child.collect() >= 0:
                break
        raise self._cannot_start(trouble.text() or "it was killed")

    def _step(
        self, run: RunDirectory, process: ProcessIdentity, child: ChildProcess | None
    ) -> SupervisedStep:
        forcibly_s = self._bounds.grace_s + self._bounds.recording_s
        return SupervisedStep(run, process, self._executor, child, forcibly_s=forcibly_s)

    def _spawn(
        self,
        run: RunDirectory,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        trouble: BoundedOutput,
    ) -> ChildProcess:
        program, *own = self._runner
        marked = {**environment, RUN_MARKER: run.path.name}
        try:
            child = ChildProcess(program, (*own, str(run.path), *arguments), marked, trouble)
        except OSError as exc:
            raise self._cannot_start(exc.strerror or str(exc)) from exc
        child.collect_at_end()
        return child

    def _cannot_start(self, why: str) -> RuntimeUnavailable:
        return RuntimeUnavailable(
            f"what is to run '{self._docker}' cannot be started: {cause_of_failure(why)}"
        )

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await finish_in_thread(self._executor, work)


def _forget_unclaimed(run: RunDirectory) -> None:
    # What is left if the disk fails here is found again by `known_tokens`.
    with contextlib.suppress(StorageUnavailable):
        if run.claim_or_revoke() is None:
            run.discard()


def _discard(run: RunDirectory) -> None:
    process = run.claim()
    if process is not None and is_running(process) and run.exit() is None:
        raise Conflict(f"the step {run.path.name} is not over")
    run.discard()
