"""REMOVE_COMPOSE: take a project off the host, with its files and its history."""

from __future__ import annotations

from dataclasses import dataclass

from application.agent.handling import Completed, Deadlines, Outcome
from application.agent.revisions import RevisionFiles
from application.agent.step_plan import StepPlan
from application.agent.steps import VERSION, JobSteps
from application.ports.compose_executor import ComposeAction, ComposeOptions
from application.ports.compose_runtime import ComposeRuntime
from application.ports.project_files import ProjectFiles
from application.ports.revision_store import RevisionStore
from domain.commands import RemoveCompose
from domain.errors import NotFound

TAKE_OFF = "take off"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveComposeHandler:
    """Volumes go only where the command says so; files that somebody else put there stay."""

    revisions: RevisionFiles
    store: RevisionStore
    files: ProjectFiles
    runtime: ComposeRuntime
    deadlines: Deadlines

    async def __call__(self, command: RemoveCompose, steps: JobSteps, /) -> Outcome:
        """Remove; a project that this host does not know is refused."""
        name = command.project
        try:
            project = await self.files.locate(name)
        except NotFound:
            if not steps.has_begun(TAKE_OFF):
                raise
            # Its files were gone already when the agent ended.
            await self.store.forget(name)
            return self._done(command, await steps.printed(TAKE_OFF), steps)
        if not steps.has_begun(TAKE_OFF):
            await steps.ask(VERSION, self.deadlines.check_s, self.runtime.ensure_supported())
        report = await steps.run(
            StepPlan(
                TAKE_OFF,
                ComposeAction.REMOVE if command.volumes else ComposeAction.DOWN,
                project,
                self.deadlines.stop_s,
                consequence="some of it may be left; its files and history are kept",
                options=ComposeOptions(remove_orphans=True),
            )
        )
        if report.failure is not None:
            return report.failure
        content = await self.revisions.content_now(name, await self.store.history(name))
        await self.files.remove(name, content)
        await self.store.forget(name)
        return self._done(command, report.output, steps)

    def _done(self, command: RemoveCompose, output: str, steps: JobSteps) -> Completed:
        volumes = "its volumes too" if command.volumes else "its volumes stay"
        return Completed(
            f"Project '{command.project}' removed; {volumes}.\n\nOutput:\n{output}",
            {"volumes_removed": command.volumes, **steps.stages.data()},
        )
