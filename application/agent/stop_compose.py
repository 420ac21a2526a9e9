"""STOP_COMPOSE: take a project's containers and networks away; its volumes stay."""

from __future__ import annotations

from application.agent.handling import Completed, Deadlines, Outcome
from application.agent.step_plan import StepPlan
from application.agent.steps import VERSION, JobSteps
from application.ports.compose_executor import ComposeAction
from application.ports.compose_runtime import ComposeRuntime
from application.ports.project_files import ProjectFiles
from application.ports.revision_store import RevisionStore
from domain.commands import StopCompose

REMOVE = "remove"


class StopComposeHandler:
    """Stops what this agent deployed; a project it does not know is refused."""

    def __init__(
        self,
        *,
        files: ProjectFiles,
        store: RevisionStore,
        runtime: ComposeRuntime,
        deadlines: Deadlines,
    ) -> None:
        self._files = files
        self._store = store
        self._runtime = runtime
        self._deadlines = deadlines

    async def __call__(self, command: StopCompose, steps: JobSteps, /) -> Outcome:
        """Stop; stopping a stopped project succeeds."""
        project = await self._files.locate(command.project)
        if not steps.has_begun(REMOVE):
            await steps.ask(VERSION, self._deadlines.check_s, self._runtime.ensure_supported())
        report = await steps.run(
            StepPlan(
                REMOVE,
                ComposeAction.DOWN,
                project,
                self._deadlines.stop_s,
                consequence="some of its containers may still run",
            )
        )
        if report.failure is not None:
            return report.failure
        history = await self._store.history(command.project)
        if history.current is not None:
            await self._store.want(command.project, None)
        return Completed(
            f"Project '{project.name}' stopped successfully.\n\nOutput:\n{report.output}",
            steps.stages.data(),
        )
