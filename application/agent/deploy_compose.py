"""DEPLOY_COMPOSE: judge it, fetch its images, make it so, see whether it is, or take it back."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from application.agent.goal import APPLY, Goal
from application.agent.going_back import GoingBack, cut_short, left_as_it_is
from application.agent.handling import Completed, Deadlines, Failed, Outcome
from application.agent.images import ProjectImages
from application.agent.project_judge import UNTOUCHED, Judged, ProjectJudge
from application.agent.registry_check import RegistryCheck
from application.agent.revisions import Published, RevisionFiles
from application.agent.rollout import Rollout
from application.agent.steps import VERSION, JobSteps
from application.ports.clock import Clock
from application.ports.compose_runtime import ComposeRuntime
from application.ports.project_files import ProjectFiles, StagedContent
from application.ports.revision_store import RevisionStore
from domain.commands import DeployCompose
from domain.errors import Canceled, InstaDeployError, StorageUnavailable
from domain.project import ProjectName
from domain.revision import Draft, ProjectHistory, Revision, RevisionState

logger = logging.getLogger(__name__)

RECORD: Final = "record"
HALF_WAY: Final = "containers may be half-way between the old and the new"
TAKEN_BACK: Final = "the deployment is taken back"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that is known before anything is touched."""

    judged: Judged
    docker_config: str


@dataclass(frozen=True, slots=True)
class _Ready:
    """A revision whose files are the current ones, and what is to run of it."""

    revision: Revision
    goal: Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployComposeHandler:
    """Nothing that runs is touched before everything that can be known beforehand is known.

    An agent that starts again calls it again. Then what was found out is found out again, what was
    published is left alone once `up` has begun, and what was being taken back goes on being so.
    """

    judge: ProjectJudge
    images: ProjectImages
    rollout: Rollout
    going_back: GoingBack
    revisions: RevisionFiles
    store: RevisionStore
    files: ProjectFiles
    registries: RegistryCheck
    runtime: ComposeRuntime
    clock: Clock
    deadlines: Deadlines

    async def __call__(self, command: DeployCompose, steps: JobSteps, /) -> Outcome:
        """Deploy; a refusal, or a file that Compose rejects, leaves the host untouched."""
        name = command.project
        history = await self.revisions.history(name)
        mine = history.of_job(steps.job_id)
        if mine is not None and _is_over(mine, history, steps):
            steps.recall()
            return await self._completed(name, mine, steps)
        failure: Failed | None
        try:
            ready = await self._make_ready(command, mine, history, steps)
            if isinstance(ready, Failed):
                failure = ready
            else:
                mine = ready.revision
                failure = await self._bring_up(command, ready.goal, steps)
                if failure is None:
                    return await self._record(name, mine, ready.goal, steps)
        except Canceled as exc:
            if mine is None:
                raise
            failed = Failed(str(exc), logs=exc.logs, data={"reason": exc.code})
            taken_back = await self._take_back(command, mine, history, failed, steps)
            raise Canceled(taken_back.what, taken_back.logs, taken_back.data) from exc
        except InstaDeployError as exc:
            if mine is None:
                raise
            failure = Failed(f"{exc}; {_consequence(command)}", data={"reason": exc.code})
        if mine is None:
            return _with_steps(failure, steps)
        return await self._take_back(command, mine, history, failure, steps)

    async def _make_ready(
        self,
        command: DeployCompose,
        mine: Revision | None,
        history: ProjectHistory,
        steps: JobSteps,
    ) -> _Ready | Failed:
        """Find out all that can be known beforehand, and publish; `mine` is of an earlier life."""
        if mine is not None and (
            mine.state is RevisionState.FAILED or self.going_back.has_begun(steps)
        ):
            return cut_short(steps, _consequence(command), mine.error)
        name, content = command.project, command.content
        has_env_files = await self.judge.read(name, content)
        if mine is not None and steps.has_begun(APPLY):
            # The files were published before that, and may have been changed by hand since.
            published = Published(mine, content, await self.files.locate(name))
            prepared = await self._prepare_again(
                command, published, steps, has_env_files=has_env_files
            )
        else:
            if mine is None:
                await steps.ask(VERSION, self.deadlines.check_s, self.runtime.ensure_supported())
            await steps.engine_answers(self.deadlines.engine_s, UNTOUCHED)
            replaced = await self.revisions.content_now(name, history)
            await self.revisions.close_stale(history, steps.job_id)
            async with self.files.stage(name, content, content.digest[:16]) as staged:
                prepared = await self._prepare(command, staged, steps, has_env_files=has_env_files)
                if isinstance(prepared, Failed):
                    return prepared
                now = self.clock.now().timestamp()
                draft = Draft(steps.job_id, content, command.options, now)
                mine = await self.store.add(name, draft)
                published = Published(mine, content, await staged.publish(replaced))
        if isinstance(prepared, Failed):
            return prepared
        return _Ready(mine, await self._goal(command, published, prepared, history))

    async def _prepare(
        self,
        command: DeployCompose,
        staged: StagedContent,
        steps: JobSteps,
        *,
        has_env_files: bool,
    ) -> _Prepared | Failed:
        candidate, options = staged.candidate, command.options
        judged = await self.judge.resolve(
            candidate,
            options.profiles,
            steps.stages,
            directory=staged.directory,
            has_env_files=has_env_files,
        )
        if isinstance(judged, Failed):
            return judged
        refused = await self.judge.allow(command.project, command.content, judged, steps.stages)
        if refused is not None:
            return refused
        logins = command.registry_auth
        docker_config = await self.registries.docker_config(steps.job_id, logins)
        failure = await self.registries.log_in(logins, docker_config, steps.stages)
        if failure is None:
            failure = await self.images.fetch(
                candidate, judged.model, options, steps, docker_config=docker_config
            )
        return failure or _Prepared(judged, docker_config)

    async def _prepare_again(
        self,
        command: DeployCompose,
        published: Published,
        steps: JobSteps,
        *,
        has_env_files: bool,
    ) -> _Prepared | Failed:
        """As much of it as is needed once `up` has begun; nothing of it is a refusal any more."""
        judged = await self.judge.resolve(
            published.project,
            command.options.profiles,
            steps.stages,
            has_env_files=has_env_files,
            consequence=_consequence(command),
        )
        if isinstance(judged, Failed):
            return judged
        logins = command.registry_auth
        return _Prepared(judged, await self.registries.docker_config(steps.job_id, logins))

    async def _goal(
        self,
        command: DeployCompose,
        published: Published,
        prepared: _Prepared,
        history: ProjectHistory,
    ) -> Goal:
        before = history.good_instead_of(published.revision.number)
        changed = await self.revisions.changed_files(command.project, command.content, before)
        return Goal(
            published.project,
            prepared.judged,
            command.options,
            APPLY,
            _consequence(command),
            docker_config=prepared.docker_config,
            changed_files=changed,
        )

    async def _bring_up(self, command: DeployCompose, goal: Goal, steps: JobSteps) -> Failed | None:
        failure = await self.images.build(
            goal.project,
            goal.judged.model,
            command.options,
            steps,
            consequence=goal.consequence,
            docker_config=goal.docker_config,
        )
        if failure is not None:
            return failure
        # The images are the new revision's own; what an older one had pinned is over.
        goal = replace(goal, project=await self.files.pin(goal.project, b""))
        return await self.rollout.carry_out(goal, steps)

    async def _record(
        self, name: ProjectName, mine: Revision, goal: Goal, steps: JobSteps
    ) -> Outcome:
        try:
            with steps.stages.running(RECORD):
                await self.store.settle(
                    name,
                    mine.number,
                    RevisionState.GOOD,
                    images=await self.images.that_ran(name, goal.judged.model),
                    expected=await self.rollout.confirmed(goal),
                )
                await self.store.want(name, mine.number)
        except StorageUnavailable as exc:
            what = "the project runs as it should, and that could not be written down"
            return _with_steps(Failed(what, str(exc), data={"reason": exc.code}), steps)
        return await self._completed(name, mine, steps)

    async def _completed(self, name: ProjectName, mine: Revision, steps: JobSteps) -> Completed:
        output = await steps.printed(APPLY)
        return Completed(
            f"Project '{name}' deployed successfully.\n\nOutput:\n{output}",
            {"revision": mine.number, "digest": mine.digest, **steps.stages.data()},
        )

    async def _take_back(
        self,
        command: DeployCompose,
        mine: Revision,
        history: ProjectHistory,
        failure: Failed,
        steps: JobSteps,
    ) -> Failed:
        """Say that the revision failed, durably, and then go back: it is found like that after a crash."""
        name = command.project
        try:
            if mine.state is not RevisionState.FAILED:
                failed, error = RevisionState.FAILED, failure.error
                await self.store.settle(name, mine.number, failed, error=error)
            if not command.options.auto_rollback:
                await self.store.want(name, mine.number)
        except StorageUnavailable as exc:
            logger.error("revision %d of project '%s': %s", mine.number, name, exc)
        failure = replace(failure, data={**failure.data, "revision": mine.number})
        if not command.options.auto_rollback:
            return _with_steps(left_as_it_is(failure, await self.rollout.what_is_left(name)), steps)
        went = await self.going_back.undo(
            name,
            command.content,
            history.good_instead_of(mine.number),
            steps,
            files_of=history.good_before(mine.number),
        )
        return _with_steps(went.after(failure), steps)


def _is_over(mine: Revision, history: ProjectHistory, steps: JobSteps) -> bool:
    """Whether it was found well, and written down as the wanted revision: the last thing to be done.

    What has become of the project since, while no agent ran, is no reason to take it back; and which
    revision was wanted before is not known any more.
    """
    is_wanted = history.current == mine.number
    return is_wanted and mine.state is RevisionState.GOOD and steps.has_begun(APPLY)


def _consequence(command: DeployCompose) -> str:
    return TAKEN_BACK if command.options.auto_rollback else HALF_WAY


def _with_steps(failure: Failed, steps: JobSteps) -> Failed:
    return replace(failure, data={**failure.data, **steps.stages.data()})
