"""RESTART_COMPOSE: stop and start a project's containers as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from application.agent.goal import Goal
from application.agent.handling import Completed, Deadlines, Failed, Outcome
from application.agent.project_judge import Judged, ProjectJudge
from application.agent.revisions import RevisionFiles
from application.agent.rollout import Rollout
from application.agent.step_plan import StepPlan
from application.agent.steps import VERSION, JobSteps
from application.ports.compose_executor import ComposeAction, ComposeOptions
from application.ports.compose_runtime import ComposeRuntime
from application.ports.project_files import ProjectFiles
from domain.commands import RestartCompose
from domain.content import COMPOSE_FILE_NAME, ProjectContent
from domain.deploy_options import DeployOptions
from domain.errors import Conflict, NotFound
from domain.project import ComposeFile, Project

RESTART = "restart"
CONSEQUENCE = "some of its containers may be stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartComposeHandler:
    """The host's policy is asked as for a deployment. A restart that was cut short is not repeated."""

    judge: ProjectJudge
    revisions: RevisionFiles
    rollout: Rollout
    files: ProjectFiles
    runtime: ComposeRuntime
    deadlines: Deadlines

    async def __call__(self, command: RestartCompose, steps: JobSteps, /) -> Outcome:
        """Restart; completed means that the containers run again, and are healthy."""
        name = command.project
        project = await self.files.locate(name)
        history = await self.revisions.history(name)
        if history.wanted is None and history.revisions:
            # Its containers are gone: there is nothing that could be started again as it is.
            raise Conflict(
                f"project '{name}' is stopped: there is no container to restart; deploy it, or roll back "
                "to a revision, to start it"
            )
        options = history.wanted.options if history.wanted is not None else DeployOptions()
        if not steps.has_begun(RESTART):
            await steps.ask(VERSION, self.deadlines.check_s, self.runtime.ensure_supported())
        judged = await self._judge(project, options, steps)
        if isinstance(judged, Failed):
            return judged
        known = {service.name for service in judged.model.services}
        if unknown := sorted(set(command.services) - known):
            raise NotFound(f"services: project '{name}' has no service {', '.join(unknown)}")
        report = await steps.run(
            StepPlan(
                RESTART,
                ComposeAction.RESTART,
                project,
                self.deadlines.stop_s,
                consequence=CONSEQUENCE,
                options=ComposeOptions(profiles=options.profiles, services=command.services),
            )
        )
        failure = report.failure
        if failure is None:
            # What it was made from is not this command's affair.
            bare = replace(judged, hashes={})
            goal = Goal(project, bare, replace(options, wait=True), RESTART, CONSEQUENCE)
            failure = await self.rollout.look(goal, steps, only=frozenset(command.services))
        if failure is not None:
            return replace(failure, data={**failure.data, **steps.stages.data()})
        return Completed(
            f"Project '{name}' restarted successfully.\n\nOutput:\n{report.output}",
            steps.stages.data(),
        )

    async def _judge(
        self, project: Project, options: DeployOptions, steps: JobSteps
    ) -> Judged | Failed:
        name = project.name
        found = await self.files.read(name, COMPOSE_FILE_NAME)
        if found is None:
            raise NotFound(f"project '{name}' does not exist on this host")
        content = ProjectContent(ComposeFile(found))
        await self.judge.read(name, content)
        judged = await self.judge.resolve(project, options.profiles, steps.stages)
        if isinstance(judged, Failed):
            return judged
        return await self.judge.allow(name, content, judged, steps.stages) or judged
