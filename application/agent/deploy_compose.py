"""DEPLOY_COMPOSE: judge the file, write it, let Compose make it so."""

from __future__ import annotations

from dataclasses import replace

from application.agent.handling import Completed, Deadlines, Failed, Outcome
from application.agent.steps import VERSION, JobSteps, StepPlan
from application.ports.compose_executor import ComposeAction
from application.ports.compose_reader import ComposeReader
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine import Engine
from application.ports.project_files import ProjectFiles
from domain.commands import DeployCompose, digest_of
from domain.project import Project
from domain.validation import check_compose_document

VALIDATE = "validate"
APPLY = "apply"


class DeployComposeHandler:
    """Nothing is written before the file is judged, nothing replaced before Compose accepts it."""

    def __init__(
        self,
        *,
        files: ProjectFiles,
        reader: ComposeReader,
        runtime: ComposeRuntime,
        engine: Engine,
        deadlines: Deadlines,
    ) -> None:
        self._files = files
        self._reader = reader
        self._runtime = runtime
        self._engine = engine
        self._deadlines = deadlines

    async def __call__(self, command: DeployCompose, steps: JobSteps, /) -> Outcome:
        """Deploy; a refusal, or a file that Compose rejects, leaves the host untouched."""
        if steps.has_begun(APPLY):
            # The file was published before that, and may have been changed by hand since.
            return await self._apply(await self._files.locate(command.project), steps)
        if not steps.has_begun(VALIDATE):
            check_compose_document(await self._reader.read(command.file))
            await steps.ask(VERSION, self._deadlines.check_s, self._runtime.ensure_supported())
            # Asked before anything is written: a file that an absent engine could not run must not
            # become the current one.
            await self._engine.ping()
        published = await self._publish(command, steps)
        return published if isinstance(published, Failed) else await self._apply(published, steps)

    async def _publish(self, command: DeployCompose, steps: JobSteps) -> Project | Failed:
        # One name for one content: a validation that outlived the agent still reads its file.
        name = digest_of(command)[:16]
        async with self._files.stage(command.project, command.file, name) as staged:
            report = await steps.run(
                StepPlan(
                    VALIDATE,
                    ComposeAction.CHECK,
                    staged.candidate,
                    self._deadlines.check_s,
                    consequence="nothing was changed",
                )
            )
            if report.failure is not None:
                return _without_path(report.failure, staged.candidate)
            return await staged.publish()

    async def _apply(self, project: Project, steps: JobSteps) -> Outcome:
        report = await steps.run(
            StepPlan(
                APPLY,
                ComposeAction.UP,
                project,
                self._deadlines.deploy_s,
                consequence="the new compose file is kept, and containers may be half-way between "
                "the old and the new",
            )
        )
        return report.failure or Completed(
            f"Project '{project.name}' deployed successfully.\n\nOutput:\n{report.output}"
        )


def _without_path(failure: Failed, candidate: Project) -> Failed:
    """Compose names the file it was given, which has another name than its author knows."""

    def renamed(text: str) -> str:
        return text.replace(candidate.compose_file, "the compose file")

    return replace(failure, cause=renamed(failure.cause), logs=renamed(failure.logs))
