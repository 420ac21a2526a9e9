"""STOP_COMPOSE: take a project's containers and networks away; its volumes stay."""

from __future__ import annotations

from functools import partial

from application.agent.handling import Completed, ComposeStep, Deadlines, Outcome
from application.ports.clock import Clock
from application.ports.compose_runtime import ComposeRuntime
from application.ports.project_files import ProjectFiles
from domain.commands import StopCompose


class StopComposeHandler:
    """Stops what this agent deployed; a project it does not know is refused."""

    def __init__(
        self, *, files: ProjectFiles, runtime: ComposeRuntime, clock: Clock, deadlines: Deadlines
    ) -> None:
        self._files = files
        self._runtime = runtime
        self._clock = clock
        self._deadlines = deadlines

    async def __call__(self, command: StopCompose) -> Outcome:
        """Stop; stopping a stopped project succeeds."""
        project = await self._files.locate(command.project)
        step = ComposeStep(
            self._clock,
            "docker compose down",
            self._deadlines.stop_s,
            if_it_fails="some of its containers may still run",
        )
        return await step.failure_of(partial(self._runtime.down, project)) or Completed(
            f"Project '{project.name}' stopped successfully.\n\nOutput:\n{step.output.text()}"
        )
