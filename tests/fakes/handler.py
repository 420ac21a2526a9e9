"""A command handler that does nothing, as slowly as a test wants."""

from __future__ import annotations

import asyncio
from collections import Counter

from application.agent.handling import Completed, Outcome
from application.agent.steps import JobSteps
from domain.commands import Command, project_of


class FakeHandler:
    """Completes at once. Clear `gate` to have it wait; set `raises` or `outcome` for another end."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.outcome: Outcome = Completed("done")
        self.raises: Exception | None = None
        self.started: list[Command] = []
        self.ended: list[Command] = []
        self.cancelled: list[Command] = []
        self.most_at_once = 0
        self.overlaps = 0
        """How often a project had two commands carried out at once."""
        self._running: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """How many commands are being carried out."""
        return self._running.total()

    async def __call__(self, command: Command, steps: JobSteps | None = None, /) -> Outcome:
        """See `Handler` and `JobHandler`; it takes no steps."""
        project = project_of(command)
        name = project.compose_name if project else ""
        self.started.append(command)
        self.overlaps += bool(project and self._running[name])
        self._running[name] += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(command)
            raise
        finally:
            self._running[name] -= 1
        self.ended.append(command)
        if self.raises is not None:
            raise self.raises
        return self.outcome
