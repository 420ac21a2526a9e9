"""Runs seeds: one, or many on all cores."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.simulation.loop import VirtualLoop
from tests.simulation.world import World


@dataclass(slots=True)
class Outcome:
    """How a seed went: without failures, all promises held."""

    seed: int
    failures: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def simulate(seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """Live one life. `trace` gets a line for all that happens in it."""
    outcome = Outcome(seed)
    loop = VirtualLoop()

    async def live() -> None:
        world = World(seed, trace)
        outcome.counts = world.counts
        try:
            await world.live()
        finally:
            outcome.failures += world.failures

    with _logging_to(loop, trace):
        try:
            loop.run(live())
        except Exception:  # noqa: BLE001 - a seed that breaks the simulation is one that failed
            outcome.failures.append(traceback.format_exc())
    outcome.counts["turns of the loop"] = loop.turns
    outcome.failures += [f"nobody has caught {context}" for context in loop.failures]
    return outcome


def simulate_many(seeds: range, *, processes: int) -> Iterator[Outcome]:
    """Outcomes as they come; each process takes a piece of the seeds at a time."""
    piece = 50
    pieces = [seeds[start : start + piece] for start in range(0, len(seeds), piece)]
    with ProcessPoolExecutor(processes) as pool:
        for outcomes in pool.map(_simulate_all, pieces):
            yield from outcomes


def _simulate_all(seeds: range) -> list[Outcome]:
    return [simulate(seed) for seed in seeds]


@contextmanager
def _logging_to(loop: VirtualLoop, trace: Callable[[str], None] | None) -> Iterator[None]:
    if trace is None:
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)
        return
    handler = _TraceHandler(loop, trace)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


class _TraceHandler(logging.Handler):
    def __init__(self, loop: VirtualLoop, trace: Callable[[str], None]) -> None:
        super().__init__()
        self._loop = loop
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        self._trace(f"{self._loop.time() - 1000.0:10.4f} {self.format(record)}")
