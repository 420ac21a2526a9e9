"""The machine that the agent runs on: its executors, which outlive the agent, and what they did."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from application.ports.compose_executor import ComposeAction
from domain.project import Project
from domain.records import ProcessIdentity, StepExit
from tests.simulation.disk import SimulatedDisk
from tests.simulation.engine import SERVICES, Manner, SimulatedEngine, image_of, manner_of
from tests.simulation.keeping import Kept

TERMINATED = -15
KILLED = -9
LONGEST_S = {ComposeAction.PULL: 1.0, ComposeAction.UP: 4.0, ComposeAction.DOWN: 1.5}
MISSING_FILE = b"# breaks 0\n"
LIES = 0.02
"""Of the runs of `up` that end with 0, so many have left a container of before, or a wrong name."""
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
    content: bytes
    """The compose file that it was given."""
    process: ProcessIdentity
    started_at: float
    printed: bytearray = field(default_factory=bytearray)
    exit: StepExit | None = None
    ended_at: float | None = None
    why: str = ""
    has_done_half: bool = False
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def was_killed(self) -> bool:
        """Whether somebody did it who is not the agent."""
        return self.exit is None or (self.exit.exit_code == KILLED and not self.exit.ended_by)


class SimulatedHost:
    """`history` is every run there ever was, in the order in which they began."""

    def __init__(self, rng: Random, disk: SimulatedDisk, counts: Counter[str]) -> None:
        self.disk = disk
        self.engine = SimulatedEngine(rng)
        self.kept = Kept(disk)
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
        content = self.kept.files.on_disk.get(project.compose_file, MISSING_FILE)
        run = Run(token, action, name, content, process, self._loop.time())
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
        code = 1 if self._rng.random() < 0.1 or self._is_helpless(run) else 0
        self._after(run, lasts * 0.7, self._do_half, run)
        self._after(run, lasts, self._come_to_end, run, code)
        self._after(run, deadline_s, self.end_because, run, "deadline")
        if run.started_at < self.persecuted_until:
            self._counts["executors killed"] += 1
            code_of_killed = self._rng.choice((None, KILLED))
            self._after(run, self._rng.random() * lasts, self.end, run, code_of_killed)
        if not started.done():
            started.set_result(run)

    def end(self, run: Run, code: int | None) -> None:
        """The run is over; None where it was killed, so that nothing is recorded."""
        if run.ended_at is not None:
            return
        is_half_way = run.has_done_half and code != 0 and run.action is ComposeAction.UP
        if is_half_way and not self.engine.is_down and self._rng.random() < 0.3:
            self.engine.make(run.project, SERVICES[1], run.content, is_cut_short=True)
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
        """Kill one that runs, as SIGKILL does: all of it, or Compose alone, which is noted then."""
        running = self.running
        if running:
            self.end(self._rng.choice(running), self._rng.choice((None, KILLED)))
        return bool(running)

    def lose_power(self) -> None:
        """Everything that runs dies, and what was about to start does not."""
        for run in self.running:
            self.end(run, None)
        self.starting.clear()
        self.disk.lose_power()
        self.boot_number += 1
        self.booted_at = self._loop.time()

    def _do_half(self, run: Run) -> None:
        """One of the two containers is made, or is gone."""
        if self.engine.is_down:
            return
        run.has_done_half = True
        if run.action is ComposeAction.UP:
            self.engine.make(run.project, SERVICES[0], run.content, is_cut_short=False)
        elif run.action is ComposeAction.DOWN:
            self.engine.remove(run.project, SERVICES[:1])

    def _come_to_end(self, run: Run, code: int) -> None:
        """By itself."""
        if code == 0 and run.has_done_half:
            self._do_all(run)
        self.end(run, code if run.has_done_half else 1)

    def _do_all(self, run: Run) -> None:
        match run.action:
            case ComposeAction.PULL:
                self.engine.pulled.add(image_of(run.content))
            case ComposeAction.UP:
                lie = self._rng.random()
                if lie >= LIES:
                    self.engine.make(run.project, SERVICES[1], run.content, is_cut_short=False)
                elif lie >= LIES / 2:
                    self._counts["lies of Compose"] += 1
                    self.engine.make(run.project, SERVICES[1], run.content, is_cut_short=True)
                else:
                    self._counts["lies of Compose"] += 1
            case ComposeAction.DOWN:
                self.engine.remove(run.project)
            case _:
                raise AssertionError(run.action)

    def _end_because(self, run: Run, why: str) -> None:
        run.why = run.why or why
        self.end(run, TERMINATED)

    def _after(self, run: Run, seconds: float, act: object, *args: object) -> None:
        assert callable(act)
        run.timers.append(self._loop.call_later(seconds, act, *args))

    def _is_helpless(self, run: Run) -> bool:
        breaks = run.action is ComposeAction.UP and manner_of(run.content) is Manner.BREAKS
        return self.engine.is_down or breaks
