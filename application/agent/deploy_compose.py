"""DEPLOY_COMPOSE: judge the file, write it, let Compose make it so."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from application.agent.handling import Completed, ComposeStep, Deadlines, Failed, Outcome
from application.ports.clock import Clock
from application.ports.compose_reader import ComposeReader
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine import Engine
from application.ports.project_files import ProjectFiles
from domain.commands import DeployCompose
from domain.project import ComposeFile, Project, ProjectName
from domain.validation import check_compose_document


class DeployComposeHandler:
    """Nothing is written before the file is judged, nothing replaced before Compose accepts it."""

    def __init__(
        self,
        *,
        files: ProjectFiles,
        reader: ComposeReader,
        runtime: ComposeRuntime,
        engine: Engine,
        clock: Clock,
        deadlines: Deadlines,
    ) -> None:
        self._files = files
        self._reader = reader
        self._runtime = runtime
        self._engine = engine
        self._clock = clock
        self._deadlines = deadlines

    async def __call__(self, command: DeployCompose) -> Outcome:
        """Deploy; a refusal, or a file that Compose rejects, leaves the host untouched."""
        check_compose_document(await self._reader.read(command.file))
        # Asked before anything is written: a file that an absent engine could not run must not
        # become the current one.
        await self._engine.ping()
        published = await self._publish(command.project, command.file)
        return published if isinstance(published, Failed) else await self._apply(published)

    async def _publish(self, name: ProjectName, file: ComposeFile) -> Project | Failed:
        step = ComposeStep(
            self._clock,
            "docker compose config",
            self._deadlines.check_s,
            if_it_fails="nothing was changed",
        )
        async with self._files.stage(name, file) as staged:
            failure = await step.failure_of(partial(self._runtime.check, staged.candidate))
            if failure is not None:
                return _without_path(failure, staged.candidate)
            return await staged.publish()

    async def _apply(self, project: Project) -> Outcome:
        step = ComposeStep(
            self._clock,
            "docker compose up",
            self._deadlines.deploy_s,
            if_it_fails="the new compose file is kept, and containers may be half-way between "
            "the old and the new",
        )
        return await step.failure_of(partial(self._runtime.up, project)) or Completed(
            f"Project '{project.name}' deployed successfully.\n\nOutput:\n{step.output.text()}"
        )


def _without_path(failure: Failed, candidate: Project) -> Failed:
    """Compose names the file it was given, which has another name than its author knows."""

    def renamed(text: str) -> str:
        return text.replace(candidate.compose_file, "the compose file")

    return replace(failure, cause=renamed(failure.cause), logs=renamed(failure.logs))
