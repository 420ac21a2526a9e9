"""ROLLBACK_COMPOSE: make a project run a revision that it had."""

from __future__ import annotations

from dataclasses import dataclass

from application.agent.going_back import GoingBack
from application.agent.handling import Completed, Deadlines, Failed, Outcome
from application.agent.revisions import RevisionFiles
from application.agent.rollout import APPLY, Rollout
from application.agent.steps import ASKING_ENGINE, VERSION, JobSteps
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine import Engine
from application.ports.revision_store import RevisionStore
from domain.commands import RollbackCompose
from domain.errors import Canceled, Conflict, InstaDeployError, NotFound
from domain.revision import ProjectHistory, Revision, RevisionState


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackComposeHandler:
    """Goes back, with the images that ran then; where that fails, forward again to what was wanted."""

    going_back: GoingBack
    revisions: RevisionFiles
    store: RevisionStore
    rollout: Rollout
    runtime: ComposeRuntime
    engine: Engine
    deadlines: Deadlines

    async def __call__(self, command: RollbackCompose, steps: JobSteps, /) -> Outcome:
        """Roll back; a revision that is not kept is refused."""
        name = command.project
        history = await self.revisions.history(name)
        target = self._begun(history, steps) or self._target(command, history)
        step = _step_to(target)
        before = history.good_instead_of(target.number)
        replaced = await self.revisions.content_now(name, history)
        if not steps.has_begun(step):
            await steps.ask(VERSION, self.deadlines.check_s, self.runtime.ensure_supported())
            await steps.ask(ASKING_ENGINE, self.deadlines.check_s, self.engine.ping())
        try:
            failure = await self.going_back.bring(name, target, replaced, steps, step=step)
        except Canceled as exc:
            failed = await self._undo(target, before, history, Failed(str(exc)), steps)
            raise Canceled(failed.what, exc.logs, failed.data) from exc
        except InstaDeployError as exc:
            failure = Failed(str(exc), data={"reason": exc.code})
        if failure is not None:
            return await self._undo(target, before, history, failure, steps)
        output = await steps.printed(step)
        return Completed(
            f"Project '{name}' went back to revision {target.number}.\n\nOutput:\n{output}",
            {"revision": target.number, "digest": target.digest, **steps.stages.data()},
        )

    def _begun(self, history: ProjectHistory, steps: JobSteps) -> Revision | None:
        """Where the job was going when the agent ended: it may be the wanted one by now."""
        return next((one for one in history.revisions if steps.has_begun(_step_to(one))), None)

    def _target(self, command: RollbackCompose, history: ProjectHistory) -> Revision:
        if command.revision is None:
            found = history.good_before(history.current)
            if found is None:
                raise NotFound(
                    f"revision: project '{history.name}' has no good revision before the one that "
                    f"is wanted now ({history.current or 'none'})"
                )
            return found
        found = history.find(command.revision)
        if found.state is not RevisionState.GOOD:
            raise Conflict(
                f"revision: {found.number} of project '{history.name}' never came up ({found.state})"
            )
        return found

    async def _undo(
        self,
        target: Revision,
        before: Revision | None,
        history: ProjectHistory,
        failure: Failed,
        steps: JobSteps,
    ) -> Failed:
        data = {**failure.data, "revision": target.number}
        has_begun = steps.has_begun(_step_to(target))
        if before is None or not has_begun:
            # Nothing that runs was touched, or nothing is known that could be gone back to.
            if not has_begun and before is not None:
                content = await self.store.content(history.name, target.number)
                await self.revisions.publish(history.name, before, content)
            left = await self.rollout.what_is_left(history.name)
            return Failed(
                f"{failure.what}; {left}",
                failure.cause,
                failure.logs,
                {**data, "left": left, **steps.stages.data()},
            )
        content = await self.store.content(history.name, target.number)
        went = await self.going_back.undo(history.name, content, before, steps)
        return Failed(
            f"{failure.what}: {went.words}",
            "; ".join(filter(None, [failure.cause, went.cause])),
            failure.logs + went.logs,
            {**data, **went.data, **steps.stages.data()},
        )


def _step_to(target: Revision) -> str:
    """The step says where it leads, so that it is known for as long as the job is."""
    return f"{APPLY} revision {target.number}"
