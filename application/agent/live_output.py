"""What jobs print, for as long as somebody may still want to read it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from application.ports.compose_executor import RunningStep
from domain.link_messages import OutputPosition


@dataclass(slots=True)
class PrintedStep:
    """One attempt at one step of a job. `read_upto` is how much of its output was read from it."""

    step: str
    attempt: int
    token: str
    running: RunningStep
    read_upto: int = 0


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
