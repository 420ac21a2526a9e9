"""What jobs print, for as long as somebody may still want to read it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from domain.link_messages import OutputPosition


@dataclass(slots=True)
class SpokenOutput:
    """What the agent itself says of a stage; it lives as long as the agent."""

    content: bytearray = field(default_factory=bytearray)
    is_over: bool = False

    async def output(self, offset: int, limit: int) -> tuple[int, bytes]:
        """See `RunningStep`."""
        return offset, bytes(self.content[offset : offset + limit])


class Readable(Protocol):
    """As much of a `RunningStep` as whoever sends its output needs."""

    async def output(self, offset: int, limit: int) -> tuple[int, bytes]:
        """See `RunningStep`."""
        ...


@dataclass(slots=True)
class PrintedStep:
    """One attempt at one step of a job. `read_upto` is how much of its output was read from it.

    What the agent has spoken itself has no token: nothing of it lies anywhere.
    """

    step: str
    attempt: int
    token: str
    running: Readable
    read_upto: int = 0

    @property
    def is_spoken_to_its_end(self) -> bool:
        """Whether the agent has spoken it, and says no more."""
        return isinstance(self.running, SpokenOutput) and self.running.is_over


class LiveOutput:
    """The steps of jobs that run, and of jobs whose result is not delivered."""

    def __init__(self) -> None:
        self._jobs: dict[str, list[PrintedStep]] = {}
        self._added = asyncio.Event()

    def add(self, job_id: str, printed: PrintedStep) -> None:
        """A step has begun, or was found again."""
        steps = self._jobs.setdefault(job_id, [])
        if not any(known.token == printed.token for known in steps):
            steps.append(printed)
        self._added.set()

    def add_spoken(
        self, job_id: str, step: str, spoken: SpokenOutput, first_attempt: int = 1
    ) -> None:
        """The agent begins to speak of a stage, for the first time in this life or again."""
        steps = self._jobs.setdefault(job_id, [])
        number = first_attempt + sum(known.step == step for known in steps)
        steps.append(PrintedStep(step, number, "", spoken))
        self._added.set()

    def jobs(self) -> Sequence[str]:
        """The jobs of which there is output."""
        return tuple(self._jobs)

    def steps(self, job_id: str) -> Sequence[PrintedStep]:
        """What a job has printed, oldest first."""
        return tuple(self._jobs.get(job_id, ()))

    def position(self, job_id: str) -> OutputPosition | None:
        """The last byte that was read of what a job printed."""
        steps = self._jobs.get(job_id)
        if not steps:
            return None
        return OutputPosition(steps[-1].step, steps[-1].attempt, steps[-1].read_upto)

    def forget(self, job_id: str) -> None:
        """Nobody wants to read it any more."""
        self._jobs.pop(job_id, None)

    async def added(self) -> None:
        """Wait until a step is added."""
        self._added.clear()
        await self._added.wait()
