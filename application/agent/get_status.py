"""STATUS: which containers a project has, and how they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from application.agent.handling import (
    Completed,
    Deadlines,
    Failed,
    Outcome,
    StepTimedOut,
    compose_failure,
    run_step,
)
from application.ports.clock import Clock
from application.ports.compose_runtime import ComposeRuntime
from application.ports.project_files import ProjectFiles
from domain.commands import GetStatus
from domain.errors import NotFound
from domain.output import BoundedOutput
from domain.services import ServiceContainer, describe_services

_CONSEQUENCE = "how the project is cannot be said"


class GetStatusHandler:
    """Reads only. An engine that does not answer is a failure, never 'stopped'."""

    def __init__(
        self, *, files: ProjectFiles, runtime: ComposeRuntime, clock: Clock, deadlines: Deadlines
    ) -> None:
        self._files = files
        self._runtime = runtime
        self._clock = clock
        self._deadlines = deadlines

    async def __call__(self, command: GetStatus) -> Outcome:
        """Report; a project that this host does not know is a fact to report, not a failure."""
        try:
            project = await self._files.locate(command.project)
        except NotFound as exc:
            return Completed(str(exc), _data(command, exists=False, containers=()))

        output = BoundedOutput()
        listing = self._runtime.containers(project, output)
        name = "docker compose ps"
        try:
            exit_code, containers = await run_step(
                self._clock, name, self._deadlines.status_s, listing
            )
        except StepTimedOut as exc:
            return Failed(f"{exc}; {_CONSEQUENCE}", logs=output.text(), data={"reason": "deadline"})
        failure = compose_failure(name, exit_code, output.text(), consequence=_CONSEQUENCE)
        return failure or Completed(
            describe_services(project.name, containers),
            _data(command, exists=True, containers=containers),
        )


def _data(
    command: GetStatus, *, exists: bool, containers: Sequence[ServiceContainer]
) -> dict[str, object]:
    return {
        "project_name": command.project.value,
        "exists": exists,
        "services": [asdict(container) for container in containers],
    }
