"""Takes a deployment back that did not come up: to the revision that was good before, or to nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from application.agent.handling import Deadlines, Failed
from application.agent.images import ProjectImages
from application.agent.project_judge import ProjectJudge
from application.agent.revisions import Published, RevisionFiles, pins_document
from application.agent.rollout import NO_CONTAINERS, Goal, Rollout
from application.agent.step_plan import StepPlan
from application.agent.steps import JobSteps
from application.ports.compose_executor import ComposeAction, ComposeOptions
from application.ports.project_files import ProjectFiles
from application.ports.revision_store import RevisionStore
from domain.commands import PullPolicy
from domain.content import ProjectContent
from domain.errors import InstaDeployError, NotFound
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
        try:
            await undoing.engine_answers(self._deadlines.engine_s)
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

        The host's policy is asked as for a new one: it may have changed since. Where the step was
        begun before this life of the agent, the files are left as they are.
        """
        consequence = f"revision {target.number} was to run again"
        if steps.has_begun(step):
            content = await self._store.content(name, target.number)
            published = Published(target, content, await self._files.locate(name))
        else:
            published = await self._revisions.publish(name, target, replaced)
        pins = await self._revisions.pins(target.images)
        project = await self._files.pin(published.project, pins_document(pins) if pins else b"")
        unhashed = await self._judge.read(name, published.content)
        judged = await self._judge.resolve(
            project,
            target.options.profiles,
            steps.stages,
            unhashed=unhashed,
            consequence=consequence,
        )
        if isinstance(judged, Failed):
            return judged
        failure = await self._judge.allow(
            name, published.content, judged, steps.stages, consequence=consequence
        ) or await self._images.fetch(
            project,
            judged.model,
            replace(target.options, pull=PullPolicy.MISSING),
            steps,
            step=f"{step} pull",
            consequence=consequence,
        )
        if failure is not None:
            return failure
        changed = frozenset[str]()
        if replaced is not None:
            changed = published.content.changes_from(replaced)
        goal = Goal(
            project,
            judged,
            replace(target.options, wait=True),
            step,
            consequence,
            changed_files=changed,
        )
        failure = await self._rollout.carry_out(goal, steps)
        if failure is None:
            # With a pinned image its containers are configured otherwise than they were then.
            await self._store.settle(
                name,
                target.number,
                RevisionState.GOOD,
                images=target.images or await self._rollout.images(name, judged.model),
                expected=await self._rollout.confirmed(goal),
            )
            await self._store.want(name, target.number)
        return failure

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
        plan = StepPlan(
            TAKE_AWAY,
            ComposeAction.DOWN,
            project,
            self._deadlines.stop_s,
            consequence="some of its containers may be left",
            options=ComposeOptions(remove_orphans=True),
        )
        report = await steps.run(plan)
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
        return WentBack(
            words,
            {"rolled_back_to": None, "left": left},
        )
