"""ROLLBACK_COMPOSE: make a project run a revision that it had."""

from __future__ import annotations

from dataclasses import dataclass, replace

from application.agent.goal import APPLY
from application.agent.going_back import GoingBack, cut_short, left_as_it_is
from application.agent.handling import Completed, Deadlines, Failed, Outcome
from application.agent.revisions import RevisionFiles
from application.agent.rollout import Rollout
from application.agent.steps import ASKING_ENGINE, VERSION, JobSteps
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine import Engine
from application.ports.revision_store import RevisionStore
from domain.commands import RollbackCompose
from domain.errors import Canceled, Conflict, InstaDeployError, NotFound
from domain.revision import ProjectHistory, Revision, RevisionState


@dataclass(frozen=True, slots=True)
class _Way:
    """Where it leads. `was_wanted`: the project was to run that revision anyway."""

    target: Revision
    was_wanted: bool

    @property
    def step(self) -> str:
        """It says all of that, so that it is known for as long as the job is."""
        return f"{APPLY} revision {self.target.number}{' again' if self.was_wanted else ''}"

    def is_over(self, history: ProjectHistory, steps: JobSteps) -> bool:
        """Whether the revision was found well, and written down as the wanted one: the last of all.

        What has become of it since, while no agent ran, is no reason to undo that; and which
        revision was wanted instead is not known any more.
        """
        is_wanted = history.current == self.target.number
        return is_wanted and not self.was_wanted and steps.has_begun(self.step)


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
        history = await self.revisions.history(command.project)
        way = _begun(history, steps) or _chosen(command, history)
        if way.is_over(history, steps):
            steps.recall()
            return await self._completed(way, history, steps)
        if not steps.has_begun(way.step):
            await steps.ask(VERSION, self.deadlines.check_s, self.runtime.ensure_supported())
            await steps.ask(ASKING_ENGINE, self.deadlines.check_s, self.engine.ping())
        try:
            failure = await self._go(way, history, steps)
        except Canceled as exc:
            failed = await self._undo(way, history, Failed(str(exc), logs=exc.logs), steps)
            raise Canceled(failed.what, failed.logs, failed.data) from exc
        except InstaDeployError as exc:
            failure = Failed(str(exc), data={"reason": exc.code})
        if failure is not None:
            return await self._undo(way, history, failure, steps)
        return await self._completed(way, history, steps)

    async def _go(self, way: _Way, history: ProjectHistory, steps: JobSteps) -> Failed | None:
        if self.going_back.has_begun(steps):
            # What runs by now, and what lies in the project's directory, is of another revision.
            return cut_short(steps, "what was wanted before is to run again")
        replaced = await self.revisions.content_now(history.name, history)
        return await self.going_back.bring(history.name, way.target, replaced, steps, step=way.step)

    async def _completed(self, way: _Way, history: ProjectHistory, steps: JobSteps) -> Completed:
        output = await steps.printed(way.step)
        number = way.target.number
        return Completed(
            f"Project '{history.name}' went back to revision {number}.\n\nOutput:\n{output}",
            {"revision": number, "digest": way.target.digest, **steps.stages.data()},
        )

    async def _undo(
        self, way: _Way, history: ProjectHistory, failure: Failed, steps: JobSteps
    ) -> Failed:
        name, target = history.name, way.target
        failure = replace(failure, data={**failure.data, "revision": target.number})
        content = await self.store.content(name, target.number)
        before = history.good_instead_of(target.number)
        if before is None or not steps.has_begun(way.step):
            # Nothing that runs was touched, or nothing is known that could be gone back to.
            last = history.last_published
            if not steps.has_begun(way.step) and last is not None:
                await self.revisions.publish(name, last, content)
            failed = left_as_it_is(failure, await self.rollout.what_is_left(name))
        else:
            went = await self.going_back.undo(name, content, before, steps)
            failed = went.after(failure)
        return replace(failed, data={**failed.data, **steps.stages.data()})


def _begun(history: ProjectHistory, steps: JobSteps) -> _Way | None:
    """Where the job was going when the agent ended: that may be the wanted one by now."""
    ways = [_Way(one, was_wanted) for one in history.revisions for was_wanted in (False, True)]
    return next((way for way in ways if steps.has_begun(way.step)), None)


def _chosen(command: RollbackCompose, history: ProjectHistory) -> _Way:
    if command.revision is None:
        found = history.good_before(history.current)
        if found is None:
            raise NotFound(
                f"revision: project '{history.name}' has no good revision before the one that "
                f"is wanted now ({history.current or 'none'})"
            )
    else:
        found = history.find(command.revision)
    if found.state is not RevisionState.GOOD:
        raise Conflict(
            f"revision: {found.number} of project '{history.name}' never came up ({found.state})"
        )
    return _Way(found, was_wanted=found.number == history.current)
