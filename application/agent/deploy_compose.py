"""DEPLOY_COMPOSE: judge it, fetch its images, make it so, see whether it is, or take it back."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from typing import Final

from application.agent.going_back import GoingBack
from application.agent.handling import (
    Completed,
    Deadlines,
    Failed,
    Outcome,
    StepTimedOut,
    run_step,
)
from application.agent.images import ProjectImages
from application.agent.project_judge import UNTOUCHED, Judged, ProjectJudge
from application.agent.revisions import Published, RevisionFiles
from application.agent.rollout import APPLY, Goal, Rollout
from application.agent.steps import ASKING_ENGINE, VERSION, JobSteps
from application.ports.clock import Clock
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine import Engine
from application.ports.project_files import ProjectFiles, StagedContent
from application.ports.registry_logins import RegistryLogins
from application.ports.revision_store import RevisionStore
from domain.commands import DeployCompose
from domain.errors import Canceled, InstaDeployError, RuntimeUnavailable, StorageUnavailable
from domain.output import BoundedOutput, cause_of_failure
from domain.project import ProjectName
from domain.revision import Draft, ProjectHistory, Revision, RevisionState

logger = logging.getLogger(__name__)

ENGINE: Final = "engine"
LOGIN: Final = "login"
RECORD: Final = "record"
HALF_WAY: Final = "containers may be half-way between the old and the new"
TAKEN_BACK: Final = "the deployment is taken back"
ENGINE_RETRY_S: Final = 1.0
_REFUSED: Final = re.compile(r"40[13]|unauthori|denied|incorrect|forbidden", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is known before anything is touched."""

    judged: Judged
    docker_config: str = ""


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
    logins: RegistryLogins
    runtime: ComposeRuntime
    engine: Engine
    clock: Clock
    deadlines: Deadlines

    async def __call__(self, command: DeployCompose, steps: JobSteps, /) -> Outcome:
        """Deploy; a refusal, or a file that Compose rejects, leaves the host untouched."""
        name, content = command.project, command.content
        history = await self.revisions.history(name)
        mine = history.of_job(steps.job_id)
        if mine is not None and mine.state is RevisionState.FAILED:
            # It was being taken back when the agent ended.
            what = f"it had failed when the agent was started again; {_consequence(command)}"
            failed = Failed(what, mine.error, data={"reason": "failed"})
            taken_back = await self._take_back(command, mine, history, failed, steps)
            if steps.is_canceled:
                raise Canceled(taken_back.what, taken_back.logs, taken_back.data)
            return taken_back
        unhashed = await self.judge.read(name, content)
        if mine is None:
            await steps.ask(VERSION, self.deadlines.check_s, self.runtime.ensure_supported())
            await self._engine_answers(steps)
        if mine is not None and steps.has_begun(APPLY):
            # The files were published before that, and may have been changed by hand since.
            published = Published(mine, content, await self.files.locate(name))
            prepared = await self._prepare_again(command, published, unhashed, steps)
            if isinstance(prepared, Failed):
                return await self._take_back(command, mine, history, prepared, steps)
        else:
            replaced = await self.revisions.content_now(name, history)
            await self.revisions.close_stale(history, steps.job_id)
            async with self.files.stage(name, content, content.digest[:16]) as staged:
                try:
                    prepared = await self._prepare(command, staged, unhashed, steps)
                except Canceled as exc:
                    if mine is None:
                        raise
                    failed = Failed(str(exc), data={"reason": exc.code})
                    taken_back = await self._take_back(command, mine, history, failed, steps)
                    raise Canceled(taken_back.what, exc.logs, taken_back.data) from exc
                if isinstance(prepared, Failed):
                    if mine is not None:  # Its files may be the current ones already.
                        return await self._take_back(command, mine, history, prepared, steps)
                    return _with_steps(prepared, steps)
                draft = Draft(steps.job_id, content, command.options, self.clock.now().timestamp())
                mine = await self.store.add(name, draft)
                published = Published(mine, content, await staged.publish(replaced))
                if staged.candidate.directory != published.project.directory:
                    # Paths in it are others now, and so are the hashes of its services.
                    prepared = await self._prepare_again(command, published, unhashed, steps)
                    if isinstance(prepared, Failed):
                        return await self._take_back(command, mine, history, prepared, steps)
        assert isinstance(prepared, Prepared)
        return await self._bring_up(command, published, prepared, history, steps)

    async def _prepare_again(
        self,
        command: DeployCompose,
        published: Published,
        unhashed: frozenset[str],
        steps: JobSteps,
    ) -> Prepared | Failed:
        """What has to be known of files that are published; nothing of it is a refusal any more."""
        try:
            found = await self.judge.resolve(
                published.project,
                command.options.profiles,
                steps.stages,
                unhashed=unhashed,
                consequence=_consequence(command),
            )
            if isinstance(found, Failed):
                return found
            return Prepared(found, await self._docker_config(command, steps))
        except InstaDeployError as exc:
            return Failed(f"{exc}; {_consequence(command)}", data={"reason": exc.code})

    async def _docker_config(self, command: DeployCompose, steps: JobSteps) -> str:
        if not command.registry_auth:
            return ""
        return await self.logins.provide(steps.job_id, command.registry_auth)

    async def _engine_answers(self, steps: JobSteps) -> None:
        """Wait for an engine that is down or restarting; raises `RuntimeUnavailable` when it is late."""
        trouble = await self._trouble(steps)
        if trouble is None:
            return
        give_up_at = self.clock.monotonic() + steps.time_left_s(self.deadlines.engine_s)
        with steps.stages.speaking(ENGINE) as stage:
            stage.say(f"waiting for the engine: {trouble}")
            while self.clock.monotonic() < give_up_at:
                await steps.pause(ENGINE_RETRY_S, UNTOUCHED)
                trouble = await self._trouble(steps)
                if trouble is None:
                    stage.say("it answers again")
                    return
            raise trouble

    async def _trouble(self, steps: JobSteps) -> RuntimeUnavailable | None:
        """What keeps the engine from answering now."""
        try:
            await steps.ask(ASKING_ENGINE, self.deadlines.check_s, self.engine.ping())
        except RuntimeUnavailable as exc:
            return exc
        return None

    async def _prepare(
        self,
        command: DeployCompose,
        staged: StagedContent,
        unhashed: frozenset[str],
        steps: JobSteps,
    ) -> Prepared | Failed:
        candidate, options = staged.candidate, command.options
        judged = await self.judge.resolve(
            candidate,
            options.profiles,
            steps.stages,
            directory=staged.directory,
            unhashed=unhashed,
        )
        if isinstance(judged, Failed):
            return judged
        refused = await self.judge.allow(command.project, command.content, judged, steps.stages)
        if refused is not None:
            return refused
        docker_config = await self._log_in(command, steps)
        if isinstance(docker_config, Failed):
            return docker_config
        failure = await self.images.fetch(
            candidate, judged.model, options, steps, docker_config=docker_config
        )
        return failure or Prepared(judged, docker_config)

    async def _log_in(self, command: DeployCompose, steps: JobSteps) -> str | Failed:
        """Have each registry judge the credentials, while nothing depends on them yet."""
        if not command.registry_auth:
            return ""
        docker_config = await self._docker_config(command, steps)
        with steps.stages.speaking(LOGIN) as stage:
            for login in command.registry_auth:
                output = BoundedOutput()
                try:
                    exit_code = await run_step(
                        self.clock,
                        "docker login",
                        self.deadlines.check_s,
                        self.runtime.log_in(login.registry, docker_config, output),
                    )
                except StepTimedOut as exc:
                    stage.fail()
                    return Failed(f"{exc}; {UNTOUCHED}", data={"reason": "deadline"})
                if exit_code != 0:
                    stage.fail()
                    text = output.text().replace(login.password, "***")
                    cause = cause_of_refused_login(text)
                    stage.say(f"{login.registry}: {cause}")
                    return Failed(
                        f"{login.registry} does not accept these credentials; {UNTOUCHED}"
                        if _REFUSED.search(cause)
                        else f"logging in to {login.registry} failed; {UNTOUCHED}",
                        cause=cause,
                        logs=text,
                        data={"reason": "registry_login_failed", "registry": login.registry},
                    )
                stage.say(f"{login.registry}: logged in as {login.username}")
        return docker_config

    async def _bring_up(
        self,
        command: DeployCompose,
        published: Published,
        prepared: Prepared,
        history: ProjectHistory,
        steps: JobSteps,
    ) -> Outcome:
        name, mine = command.project, published.revision
        goal = Goal(
            published.project,
            prepared.judged,
            command.options,
            APPLY,
            _consequence(command),
            docker_config=prepared.docker_config,
            changed_files=await self.revisions.changed_files(
                name, command.content, history.good_instead_of(mine.number)
            ),
        )
        try:
            failure = await self.images.build(
                published.project,
                prepared.judged.model,
                command.options,
                steps,
                consequence=_consequence(command),
                docker_config=prepared.docker_config,
            )
            if failure is None:
                # The images are the new revision's own; what an older one had pinned is over.
                goal = replace(goal, project=await self.files.pin(goal.project, b""))
                failure = await self.rollout.carry_out(goal, steps)
        except Canceled as exc:
            failed = Failed(str(exc), data={"reason": exc.code})
            went_back = await self._take_back(command, mine, history, failed, steps)
            raise Canceled(went_back.what, exc.logs or went_back.logs, went_back.data) from exc
        except InstaDeployError as exc:
            failure = Failed(f"{exc}; {_consequence(command)}", data={"reason": exc.code})
        if failure is not None:
            return await self._take_back(command, mine, history, failure, steps)
        return await self._record(name, mine, goal, steps)

    async def _record(
        self, name: ProjectName, mine: Revision, goal: Goal, steps: JobSteps
    ) -> Outcome:
        try:
            with steps.stages.running(RECORD):
                await self.store.settle(
                    name,
                    mine.number,
                    RevisionState.GOOD,
                    images=await self.rollout.images(name, goal.judged.model),
                    expected=await self.rollout.confirmed(goal),
                )
                await self.store.want(name, mine.number)
        except StorageUnavailable as exc:
            what = "the project runs as it should, and that could not be written down"
            return _with_steps(Failed(what, str(exc), data={"reason": exc.code}), steps)
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
            await self.store.settle(name, mine.number, RevisionState.FAILED, error=failure.error)
            if not command.options.auto_rollback:
                await self.store.want(name, mine.number)
        except StorageUnavailable as exc:
            logger.error("revision %d of project '%s': %s", mine.number, name, exc)
        data: dict[str, object] = {**failure.data, "revision": mine.number}
        if not command.options.auto_rollback:
            left = await self.rollout.what_is_left(name)
            return _with_steps(
                replace(failure, what=f"{failure.what}; {left}", data={**data, "left": left}), steps
            )
        went = await self.going_back.undo(
            name,
            command.content,
            history.good_instead_of(mine.number),
            steps,
            files_of=history.good_before(mine.number),
        )
        return _with_steps(
            replace(
                failure,
                what=f"{failure.what}: {went.words}",
                cause="; ".join(filter(None, [failure.cause, went.cause])),
                logs=failure.logs + went.logs,
                data={**data, **went.data},
            ),
            steps,
        )


def _consequence(command: DeployCompose) -> str:
    return TAKEN_BACK if command.options.auto_rollback else HALF_WAY


def cause_of_refused_login(output: str) -> str:
    """What the registry said. Docker asks a person then, and complains that there is none."""
    lines = [line for line in output.splitlines() if "interactive login" not in line]
    return cause_of_failure("\n".join(lines))


def _with_steps(failure: Failed, steps: JobSteps) -> Failed:
    return replace(failure, data={**failure.data, **steps.stages.data()})
