"""The machine that the agent runs on: its executors, which outlive the agent, and what they did."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from application.ports.compose_executor import ComposeAction
from domain.errors import Conflict, NoSpace, RuntimeUnavailable
from domain.output import BoundedOutput
from domain.project import ComposeFile, Project, ProjectName
from domain.records import ProcessIdentity, StepExit
from domain.services import ServiceContainer
from tests.fakes.engine import FakeEngine
from tests.fakes.project_files import FakeProjectFiles
from tests.simulation.disk import SimulatedDisk

TERMINATED = -15
LONGEST_S = {ComposeAction.CHECK: 0.4, ComposeAction.UP: 4.0, ComposeAction.DOWN: 1.5}
LINES = (
    b"Container web-1  Created\n",
    b"pulling \xe2\x98\x83\n",
    b"\xff\xfe raw\n",
    b"x" * 70 + b"\n",
)


@dataclass(slots=True, eq=False)
class Run:
    """One executor that was started. `exit` is None while it runs, and where it was killed."""

    token: str
    action: ComposeAction
    project: str
    process: ProcessIdentity
    started_at: float
    printed: bytearray = field(default_factory=bytearray)
    exit: StepExit | None = None
    ended_at: float | None = None
    why: str = ""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class SimulatedHost:
    """`history` is every run there ever was, in the order in which they began."""

    def __init__(self, rng: Random, disk: SimulatedDisk, counts: Counter[str]) -> None:
        self.disk = disk
        self.engine = FakeEngine()
        self.files = FakeProjectFiles()
        self.history: list[Run] = []
        self.runs: dict[str, Run] = {}
        self.refused: set[str] = set()
        self.overlaps: list[str] = []
        self.boot_number = 1
        self.booted_at = 0.0
        self.persecuted_until = 0.0
        """Until then everything that is started is killed soon."""
        self.starting: dict[str, asyncio.Future[Run]] = {}
        self._rng = rng
        self._counts = counts
        self._loop = asyncio.get_running_loop()

    @property
    def boot_id(self) -> str:
        return f"boot-{self.boot_number}"

    @property
    def running(self) -> list[Run]:
        return [run for run in self.history if run.ended_at is None]

    def begin(self, token: str, action: ComposeAction, project: Project, deadline_s: float) -> None:
        """A start that has come through, also where nobody waits for it any more."""
        started = self.starting.pop(token, None)
        if started is None:
            return
        name = project.name.compose_name
        process = ProcessIdentity(1000 + len(self.history), len(self.history), self.boot_id)
        run = Run(token, action, name, process, self._loop.time())
        self.overlaps += [
            f"{run.token} and {other.token}" for other in self.running if other.project == name
        ]
        self.history.append(run)
        self.runs[token] = run
        lasts = self._rng.random() * LONGEST_S[action]
        if self._rng.random() < 0.02:
            lasts *= 12
        for _ in range(self._rng.randrange(3)):
            line = self._rng.choice(LINES)
            if self._rng.random() < 0.004:
                line *= 4000
            self._after(run, self._rng.random() * lasts, run.printed.extend, line)
        code = 1 if self._rng.random() < 0.1 or self._is_helpless(action) else 0
        self._after(run, lasts, self.end, run, code)
        self._after(run, deadline_s, self.end_because, run, "deadline")
        if run.started_at < self.persecuted_until:
            self._counts["executors killed"] += 1
            self._after(run, self._rng.random() * lasts, self.end, run, None)
        if not started.done():
            started.set_result(run)

    def end(self, run: Run, code: int | None) -> None:
        """The run is over; None where it was killed, so that nothing is recorded."""
        if run.ended_at is not None:
            return
        run.ended_at = self._loop.time()
        if code is not None:
            printed = bytes(run.printed)
            digest = hashlib.sha256(printed).hexdigest()
            run.exit = StepExit(code, len(printed), digest, len(printed), 0, run.why)
        for timer in run.timers:
            timer.cancel()
        for waiting in run.waiting:
            if not waiting.done():
                waiting.set_result(None)

    def end_because(self, run: Run, why: str) -> None:
        """Somebody wants it to end; it takes a moment, and may come to its own end first."""
        if run.ended_at is None and not run.why:
            self._after(run, self._rng.random() * 2.0, self._end_because, run, why)

    def kill_one(self) -> bool:
        """Kill one that runs, as SIGKILL does."""
        running = self.running
        if running:
            self.end(self._rng.choice(running), None)
        return bool(running)

    def lose_power(self) -> None:
        """Everything that runs dies, and what was about to start does not."""
        for run in self.running:
            self.end(run, None)
        self.starting.clear()
        self.disk.lose_power()
        self.boot_number += 1
        self.booted_at = self._loop.time()

    def _end_because(self, run: Run, why: str) -> None:
        run.why = run.why or why
        self.end(run, TERMINATED)

    def _after(self, run: Run, seconds: float, act: object, *args: object) -> None:
        assert callable(act)
        run.timers.append(self._loop.call_later(seconds, act, *args))

    def _is_helpless(self, action: ComposeAction) -> bool:
        return self.engine.is_down and action is not ComposeAction.CHECK


class SimulatedStep:
    """One agent's hold on a run."""

    def __init__(self, host: SimulatedHost, run: Run) -> None:
        self._host = host
        self._run = run

    @property
    def process(self) -> ProcessIdentity:
        return self._run.process

    async def wait(self) -> StepExit | None:
        if self._run.ended_at is None:
            over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._run.waiting.append(over)
            await over
        return self._run.exit

    async def end(self, why: str) -> None:
        self._host.end_because(self._run, why)

    async def output(self, offset: int, limit: int) -> tuple[int, bytes]:
        return offset, bytes(self._run.printed[offset : offset + limit])


class SimulatedExecutor:
    """One agent's `ComposeExecutor`. Once `is_dead`, nothing of it has an effect."""

    def __init__(self, host: SimulatedHost, rng: Random) -> None:
        self._host = host
        self._rng = rng
        self.is_dead = False

    async def boot_id(self) -> str:
        return self._host.boot_id

    async def start(
        self, token: str, action: ComposeAction, project: Project, *, deadline_s: float
    ) -> SimulatedStep:
        host, loop = self._host, asyncio.get_running_loop()
        self._live()
        if token in host.runs or token in host.starting or token in host.refused:
            raise Conflict(f"a step was started under the token {token} before")
        if host.disk.is_full and self._rng.random() < 0.5:
            raise NoSpace("no space left on the disk that holds the runs")
        started: asyncio.Future[Run] = loop.create_future()
        host.starting[token] = started
        loop.call_later(self._rng.random() * 0.05, host.begin, token, action, project, deadline_s)
        run = await started
        return SimulatedStep(host, run)

    async def find(self, token: str) -> SimulatedStep | None:
        self._live()
        run = self._host.runs.get(token)
        if run is None:
            self._host.refused.add(token)
            self._host.starting.pop(token, None)
            return None
        return SimulatedStep(self._host, run)

    async def discard(self, token: str) -> None:
        self._live()
        run = self._host.runs.get(token)
        if run is not None and run.ended_at is None:
            raise Conflict(f"the step {token} is not over")
        self._host.runs.pop(token, None)

    async def known_tokens(self) -> frozenset[str]:
        self._live()
        return frozenset(self._host.runs)

    def _live(self) -> None:
        if self.is_dead:
            raise asyncio.CancelledError


class SimulatedRuntime:
    """Compose, as far as it is asked and not run."""

    async def check(self, project: Project, output: BoundedOutput) -> int:
        raise NotImplementedError

    async def up(self, project: Project, output: BoundedOutput) -> int:
        raise NotImplementedError

    async def down(self, project: Project, output: BoundedOutput) -> int:
        raise NotImplementedError

    async def containers(
        self, project: Project, output: BoundedOutput
    ) -> tuple[int, Sequence[ServiceContainer]]:
        return 0, ()

    async def version(self) -> str:
        return "2.26.1"

    async def ensure_supported(self) -> None:
        return


class SimulatedNames:
    """There is never anything to put right."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    async def settle(self, name: ProjectName) -> None:
        await self.put_right(name)

    async def put_right(self, name: ProjectName) -> Sequence[str]:
        if self._engine.is_down:
            raise RuntimeUnavailable("the engine does not answer")
        return ()


class SimulatedReader:
    """Every compose file has one service."""

    async def read(self, file: ComposeFile) -> object:
        return {"services": {"web": {}}}
