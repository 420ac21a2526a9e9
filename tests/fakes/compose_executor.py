"""An executor in memory, on the fake Compose: it outlives the agents that a test starts and ends."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Final

from application.ports.clock import Clock
from application.ports.compose_executor import AS_IT_IS, ComposeAction, ComposeOptions
from domain.errors import Conflict, NoSpace, RuntimeUnavailable
from domain.output import BoundedOutput
from domain.project import Project
from domain.records import ProcessIdentity, StepExit
from tests.fakes.compose_runtime import FakeComposeRuntime

TERMINATED: Final = -15
"""The exit code of a step that was made to end."""
NOT_FOUND: Final = 127
"""The exit code of a step whose program could not be run."""


class _Printed(BoundedOutput):
    """Everything that was printed, with no bound."""

    def __init__(self) -> None:
        super().__init__()
        self.everything = bytearray()

    def write(self, chunk: bytes) -> None:
        self.everything += chunk


@dataclass(slots=True, eq=False)
class FakeRun:
    """What is left of one start: in the test's hands, and in no agent's."""

    token: str
    action: ComposeAction
    project: Project
    process: ProcessIdentity
    deadline_s: float
    options: ComposeOptions = AS_IT_IS
    printed: _Printed = field(default_factory=_Printed)
    task: asyncio.Task[None] | None = None
    why: str = ""
    exit: StepExit | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class HeldStart:
    """A start that is under way, and that is not there yet for whoever looks for it."""

    token: str
    is_revoked: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


class FakeStep:
    """One agent's hold on a step; cancelling its calls leaves the step alone."""

    def __init__(self, run: FakeRun, head_bytes: int, tail_bytes: int) -> None:
        self._run = run
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes

    @property
    def process(self) -> ProcessIdentity:
        """See `RunningStep`."""
        return self._run.process

    async def wait(self) -> StepExit | None:
        """See `RunningStep`."""
        await self._run.over.wait()
        return self._run.exit

    async def end(self, why: str) -> None:
        """See `RunningStep`."""
        await asyncio.sleep(0)
        _end(self._run, why)

    async def output(self, offset: int, limit: int) -> tuple[int, bytes]:
        """See `RunningStep`; the tail is there to be read once the step is over, not before."""
        await asyncio.sleep(0)
        everything = bytes(self._run.printed.everything)
        if offset < self._head_bytes:
            return offset, everything[offset : min(offset + limit, self._head_bytes)]
        if self._run.exit is None:
            return offset, b""
        offset = max(offset, len(everything) - self._run.exit.tail_bytes)
        return offset, everything[offset : offset + limit]


class FakeComposeExecutor:
    """Runs steps on a `FakeComposeRuntime`, whose scripts say what they do: see `Scripted`.

    A step that hangs waits for its script's release, for `end`, for its deadline by the clock, or for
    `interrupt`. Give one executor to as many agents, one after another, as a test likes.
    """

    def __init__(
        self,
        runtime: FakeComposeRuntime,
        clock: Clock,
        *,
        head_bytes: int = 4 * 1024 * 1024,
        tail_bytes: int = 256 * 1024,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._turns: dict[str, asyncio.Lock] = {}
        self._held: list[HeldStart] = []
        self._hold_next = False
        self._boots = 1
        self._refused: set[str] = set()
        self.runs: dict[str, FakeRun] = {}
        """By token, everything that was started and not discarded."""
        self.starts: list[tuple[str, ComposeAction, str]] = []
        """Token, action and Compose's name of the project, of every start there ever was."""
        self.discarded: list[str] = []
        self.is_full = False
        """Have the disk be full: nothing starts."""

    async def boot_id(self) -> str:
        """See `ComposeExecutor`."""
        await asyncio.sleep(0)
        return f"boot-{self._boots}"

    async def start(
        self,
        token: str,
        action: ComposeAction,
        project: Project,
        *,
        deadline_s: float,
        options: ComposeOptions = AS_IT_IS,
    ) -> FakeStep:
        """See `ComposeExecutor`."""
        if self._runtime.unavailable is not None:
            raise self._runtime.unavailable
        if self.is_full:
            raise NoSpace("no space left on the disk that holds the fake's runs")
        if token in self.runs or token in self._refused:
            raise Conflict(f"a step was started under the token {token} before")
        if self._hold_next:
            await self._be_held(token)
        process = ProcessIdentity(
            pid=1000 + len(self.starts), start_time=len(self.starts), boot_id=await self.boot_id()
        )
        run = FakeRun(token, action, project, process, deadline_s, options)
        self.runs[token] = run
        self.starts.append((token, action, project.name.compose_name))
        run.task = asyncio.create_task(self._carry_out(run), name=f"fake step {token}")
        run.task.add_done_callback(lambda _: run.over.set())
        await asyncio.sleep(0)
        return self._step(run)

    async def find(self, token: str) -> FakeStep | None:
        """See `ComposeExecutor`."""
        await asyncio.sleep(0)
        for held in self._held:
            held.is_revoked |= held.token == token
        run = self.runs.get(token)
        if run is None:
            self._refused.add(token)
            return None
        return self._step(run)

    async def discard(self, token: str) -> None:
        """See `ComposeExecutor`."""
        await asyncio.sleep(0)
        run = self.runs.get(token)
        if run is not None and not run.over.is_set():
            raise Conflict(f"the step {token} is not over")
        if self.runs.pop(token, None) is not None:
            self.discarded.append(token)

    async def known_tokens(self) -> frozenset[str]:
        """See `ComposeExecutor`."""
        await asyncio.sleep(0)
        return frozenset(self.runs)

    def hold_next_start(self) -> HeldStart:
        """Have the next start wait before anything of it can be found; `find` then revokes it."""
        held = HeldStart(token="")
        self._held.append(held)
        self._hold_next = True
        return held

    def interrupt(self, token: str | None = None) -> None:
        """Kill a step, or all of them, as SIGKILL does: no exit is recorded."""
        for run in [self.runs[token]] if token else list(self.runs.values()):
            if run.task is not None and not run.over.is_set():
                run.why = ""
                run.task.cancel("interrupted")

    async def reboot(self) -> None:
        """Kill everything, and begin another boot of the machine."""
        self.interrupt()
        tasks = [run.task for run in self.runs.values() if run.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._boots += 1

    def actions_of(self, project: str) -> list[ComposeAction]:
        """What was started for a project, by Compose's name, in order."""
        return [action for _, action, name in self.starts if name == project]

    def _step(self, run: FakeRun) -> FakeStep:
        return FakeStep(run, self._head_bytes, self._tail_bytes)

    async def _be_held(self, token: str) -> None:
        self._hold_next = False
        held = next(held for held in self._held if not held.token)
        held.token = token
        held.begun.set()
        try:
            await held.release.wait()
        finally:
            self._held.remove(held)
        if held.is_revoked:
            raise RuntimeUnavailable("the start was revoked before the step had begun")

    async def _carry_out(self, run: FakeRun) -> None:
        exit_code: int | None = None
        limit = asyncio.create_task(
            self._end_late(run), name=f"deadline of the fake step {run.token}"
        )
        turn = self._turns.setdefault(run.project.name.compose_name, asyncio.Lock())
        begun = self._clock.monotonic()
        try:
            async with turn:
                begun = self._clock.monotonic()
                exit_code = await self._call(run)
        except asyncio.CancelledError:
            # Not raised again: this task plays a process, and what cancels it plays a signal.
            exit_code = TERMINATED if run.why else None
        except RuntimeUnavailable as exc:
            run.printed.write(f"{exc}\n".encode())
            exit_code = NOT_FOUND
        finally:
            limit.cancel()
            if exit_code is not None:
                run.exit = self._exit(run, exit_code, self._clock.monotonic() - begun)

    async def _call(self, run: FakeRun) -> int:
        runtime = self._runtime
        carry_out = {
            ComposeAction.PULL: runtime.pull,
            ComposeAction.BUILD: runtime.build,
            ComposeAction.UNPAUSE: runtime.unpause,
            ComposeAction.UP: runtime.up,
            ComposeAction.RESTART: runtime.restart,
            ComposeAction.DOWN: runtime.down,
            ComposeAction.REMOVE: runtime.remove,
        }[run.action]
        return await carry_out(run.project, run.printed, run.options)

    async def _end_late(self, run: FakeRun) -> None:
        await self._clock.sleep(run.deadline_s)
        _end(run, "deadline")

    def _exit(self, run: FakeRun, exit_code: int, seconds: float) -> StepExit:
        everything = run.printed.everything
        head = min(len(everything), self._head_bytes)
        return StepExit(
            exit_code=exit_code,
            output_bytes=len(everything),
            output_sha256=hashlib.sha256(everything).hexdigest(),
            head_bytes=head,
            tail_bytes=min(len(everything) - head, self._tail_bytes),
            ended_by=run.why,
            seconds=seconds,
        )


def _end(run: FakeRun, why: str) -> None:
    if run.task is not None and not run.over.is_set() and not run.why:
        run.why = why
        run.task.cancel(why)
