"""Takes a deployment back that did not come up: to the revision that was good before, or to nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from application.agent.goal import Goal
from application.agent.handling import Deadlines, Failed
from application.agent.images import ProjectImages
from application.agent.project_judge import ProjectJudge
from application.agent.revisions import Published, RevisionFiles, pins_document
from application.agent.rollout import NO_CONTAINERS, Rollout
from application.agent.step_plan import StepPlan
from application.agent.steps import JobSteps
from application.ports.compose_executor import ComposeAction, ComposeOptions
from application.ports.project_files import ProjectFiles
from application.ports.revision_store import RevisionStore
from domain.content import ProjectContent
from domain.deploy_options import PullPolicy
from domain.errors import Canceled, InstaDeployError, NotFound
from domain.project import ProjectName
from domain.revision import Revision, RevisionState

logger = logging.getLogger(__name__)

ROLL_BACK: Final = "rollback"
TAKE_AWAY: Final = "take away"


@dataclass(frozen=True, slots=True)
class WentBack:
    """What a failed deployment has left: as in `Failed`, and `data` for machines."""

    words: str
    data: dict[str, object]
    cause: str = ""
    logs: str = ""

    def after(self, failure: Failed) -> Failed:
        """The failure that it was for, with what came of going back."""
        return Failed(
            f"{failure.what}: {self.words}",
            "; ".join(filter(None, [failure.cause, self.cause])),
            failure.logs + self.logs,
            {**failure.data, **self.data},
        )


def left_as_it_is(failure: Failed, left: str) -> Failed:
    """A failure after which nobody goes back; `left` says in words what is there."""
    what = f"{failure.what}; {left}"
    return replace(failure, what=what, data={**failure.data, "left": left})


def cut_short(steps: JobSteps, consequence: str, cause: str = "") -> Failed:
    """What is known of the failure of a job that was being undone when the agent ended.

    Raises `Canceled` where somebody wanted it to end.
    """
    what = f"it had failed when the agent was started again; {consequence}"
    if steps.is_canceled:
        raise Canceled(what)
    return Failed(what, cause, data={"reason": "failed"})


class GoingBack:
    """Brings an earlier revision up again, with the images that ran then."""

    def __init__(
        self,
        *,
        judge: ProjectJudge,
        revisions: RevisionFiles,
        store: RevisionStore,
        files: ProjectFiles,
        images: ProjectImages,
        rollout: Rollout,
        deadlines: Deadlines,
    ) -> None:
        self._judge = judge
        self._revisions = revisions
        self._store = store
        self._files = files
        self._images = images
        self._rollout = rollout
        self._deadlines = deadlines

    @staticmethod
    def has_begun(steps: JobSteps) -> bool:
        """Whether the job was being undone already, in this life of the agent or another."""
        return steps.has_begun(ROLL_BACK) or steps.has_begun(TAKE_AWAY)

    async def undo(
        self,
        name: ProjectName,
        failed: ProjectContent,
        target: Revision | None,
        steps: JobSteps,
        *,
        files_of: Revision | None = None,
    ) -> WentBack:
        """Go back to `target`, or take everything away where there is none. Never raises our errors.

        `failed` is what was published instead; where nothing is to run, the files of `files_of` are
        put back. Nobody can cancel this.
        """
        undoing = steps.undoing(ROLL_BACK)
        if not self.has_begun(steps):
            await steps.end_what_runs()
        try:
            await undoing.engine_answers(self._deadlines.engine_s, "nothing was taken back")
            if target is None:
                return await self._take_away(name, failed, undoing, files_of)
            failure = await self.bring(name, target, failed, undoing, step=ROLL_BACK)
        except InstaDeployError as exc:
            failure = Failed(str(exc))
        if failure is None:
            assert target is not None
            return WentBack(
                f"revision {target.number} runs again", {"rolled_back_to": target.number}
            )
        left = await self._rollout.what_is_left(name)
        to = "nothing" if target is None else f"revision {target.number}"
        logger.error("project '%s': going back to %s failed: %s", name, to, failure.what)
        return WentBack(
            f"going back to {to} failed too ({failure.what}); {left}",
            {"rollback_failed": failure.error, "left": left},
            failure.cause,
            failure.logs,
        )

    async def bring(
        self,
        name: ProjectName,
        target: Revision,
        replaced: ProjectContent | None,
        steps: JobSteps,
        *,
        step: str,
    ) -> Failed | None:
        """Make a revision that is kept run again; None where it does. It is the wanted one then.

        The host's policy is asked as for a new one: it may have changed since.
        """
        published = await self._published(name, target, replaced, steps, step)
        goal = await self._goal(published, replaced, steps, step)
        if isinstance(goal, Failed):
            return goal
        failure = await self._rollout.carry_out(goal, steps)
        if failure is None:
            # With a pinned image its containers are configured otherwise than they were then.
            await self._store.settle(
                name,
                target.number,
                RevisionState.GOOD,
                images=target.images or await self._images.that_ran(name, goal.judged.model),
                expected=await self._rollout.confirmed(goal),
            )
            await self._store.want(name, target.number)
        return failure

    async def _published(
        self,
        name: ProjectName,
        target: Revision,
        replaced: ProjectContent | None,
        steps: JobSteps,
        step: str,
    ) -> Published:
        """Its files, current. Where the step was begun in another life of the agent, they were.

        They are looked at all the same: that life may have come as far as taking them back.
        """
        if steps.has_begun(step):
            content = await self._store.content(name, target.number)
            if await self._revisions.is_current(name, content):
                return Published(target, content, await self._files.locate(name))
        return await self._revisions.publish(name, target, replaced)

    async def _goal(
        self, published: Published, replaced: ProjectContent | None, steps: JobSteps, step: str
    ) -> Goal | Failed:
        """What is to run, judged, with all its images there."""
        target, content, name = published.revision, published.content, published.project.name
        consequence = f"revision {target.number} was to run again"
        pins = await self._revisions.pins(target.images)
        project = await self._files.pin(published.project, pins_document(pins) if pins else b"")
        judged = await self._judge.resolve(
            project,
            target.options.profiles,
            steps.stages,
            has_env_files=await self._judge.read(name, content),
            consequence=consequence,
        )
        if isinstance(judged, Failed):
            return judged
        failure = await self._judge.allow(
            name, content, judged, steps.stages, consequence=consequence
        ) or await self._images.fetch(
            project,
            judged.model,
            replace(target.options, pull=PullPolicy.MISSING),
            steps,
            step=f"{step} pull",
            consequence=consequence,
        )
        return failure or Goal(
            project,
            judged,
            replace(target.options, wait=True),
            step,
            consequence,
            changed_files=frozenset() if replaced is None else content.changes_from(replaced),
        )

    async def _take_away(
        self,
        name: ProjectName,
        failed: ProjectContent,
        steps: JobSteps,
        files_of: Revision | None,
    ) -> WentBack:
        """Leave nothing of a first deployment that would be in the way of the next one."""
        try:
            project = await self._files.locate(name)
        except NotFound:
            return WentBack(
                "nothing of it is left", {"rolled_back_to": None, "left": NO_CONTAINERS}
            )
        report = await steps.run(
            StepPlan(
                TAKE_AWAY,
                ComposeAction.DOWN,
                project,
                self._deadlines.stop_s,
                consequence="some of its containers may be left",
                options=ComposeOptions(remove_orphans=True),
            )
        )
        left = await self._rollout.what_is_left(name)
        if report.failure is not None or left != NO_CONTAINERS:
            failure = report.failure or Failed(left)
            return WentBack(
                f"that failed too ({failure.what})",
                {"rollback_failed": failure.error, "left": left},
                failure.cause,
            )
        if files_of is None:
            await self._files.remove(name, failed)
            words = "it was the project's first, and nothing of it is left but its volumes"
        else:
            await self._revisions.publish(name, files_of, failed)
            words = "the project was stopped before, and is again"
        await self._store.want(name, None)
        return WentBack(words, {"rolled_back_to": None, "left": left})
