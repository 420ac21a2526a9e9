"""Brings a project up and looks whether it is: the part that deploying and going back share."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from application.agent.goal import Goal
from application.agent.handling import Deadlines, Failed
from application.agent.images import references
from application.agent.lookout import Lookout
from application.agent.step_plan import StepPlan
from application.agent.steps import JobSteps
from application.ports.clock import Clock
from application.ports.compose_executor import ComposeAction, ComposeOptions
from application.ports.engine_state import EngineState
from domain.drift import proper_names
from domain.engine_state import FoundContainer
from domain.errors import RuntimeUnavailable
from domain.expectation import expected_services
from domain.project import ProjectName
from domain.verification import ExpectedService, with_comparable_hashes

logger = logging.getLogger(__name__)

UNPAUSE: Final = "unpause"
RELOAD: Final = "reload"
NO_CONTAINERS: Final = "no container of it is left"


class Rollout:
    """Carries a goal out. Everything that it reads may be read again after a restart."""

    def __init__(self, *, state: EngineState, clock: Clock, deadlines: Deadlines) -> None:
        self._state = state
        self._deadlines = deadlines
        self._lookout = Lookout(state=state, clock=clock, deadlines=deadlines)

    async def carry_out(self, goal: Goal, steps: JobSteps) -> Failed | None:
        """Bring it up, wait until it is well, and look at it once more.

        None where it runs as it should. Raises `Canceled`, and `RuntimeUnavailable` where the engine
        cannot be asked for longer than all of that may take.
        """
        was_begun = steps.has_begun(goal.step)
        before = await self._containers_or_none(goal.project.name)
        expected = await self.expected(goal)
        paused = () if was_begun else _paused(expected, before)
        if paused or (not was_begun and steps.has_begun(goal.step_beside(UNPAUSE))):
            failure = await self._unpause(goal, steps, paused)
            if failure is not None:
                return failure
            before = await self._containers_or_none(goal.project.name)
        report = await steps.run(
            StepPlan(
                goal.step,
                ComposeAction.UP,
                goal.project,
                self._deadlines.deploy_s,
                consequence=goal.consequence,
                options=goal.compose_options,
                names=proper_names(
                    goal.project.name, with_comparable_hashes(expected, before), before
                ),
            )
        )
        if report.failure is not None:
            return report.failure
        failure = await self._reload(goal, steps, before)
        # What ran when the agent started again may have been started by this very step.
        return failure or await self._judge(goal, steps, expected, () if was_begun else before)

    async def look(
        self, goal: Goal, steps: JobSteps, *, only: frozenset[str] = frozenset()
    ) -> Failed | None:
        """Wait until what runs is well, whatever it was made from; of `only` these where any is named."""
        wanted = [
            replace(one, image_id=None)  # A name may mean another image by now.
            for one in await self.expected(goal)
            if not only or one.name in only
        ]
        return await self._judge(goal, steps, wanted, ())

    async def expected(self, goal: Goal) -> Sequence[ExpectedService]:
        """What the engine should have, with the images that the references mean to it now."""
        ids: dict[str, str] = {}
        for service, reference in references(goal.project.name, goal.judged.model).items():
            try:
                image = await self._state.image(reference)
            except RuntimeUnavailable:
                break  # What the engine does not tell now is not compared.
            if image is not None:
                ids[service] = image.id
        return expected_services(goal.judged.model, hashes=goal.judged.hashes, image_ids=ids)

    async def confirmed(self, goal: Goal) -> Sequence[ExpectedService]:
        """The same of a goal that is reached: what its containers will be compared with later."""
        found = await self._containers_or_none(goal.project.name)
        return with_comparable_hashes(await self.expected(goal), found)

    async def what_is_left(self, name: ProjectName) -> str:
        """In words, what the engine has of a project now."""
        try:
            found = await self._state.containers(name)
        except RuntimeUnavailable as exc:
            return f"what is left of it cannot be said: {exc}"
        if not found:
            return NO_CONTAINERS
        return "left are " + ", ".join(f"{one.name} ({one.status or one.state})" for one in found)

    async def _unpause(self, goal: Goal, steps: JobSteps, paused: Sequence[str]) -> Failed | None:
        """Let them go on: Compose would try to start them, and fail."""
        report = await steps.run(
            StepPlan(
                goal.step_beside(UNPAUSE),
                ComposeAction.UNPAUSE,
                goal.project,
                self._deadlines.stop_s,
                consequence=goal.consequence,
                options=ComposeOptions(containers=tuple(paused)),
            )
        )
        now = await self._containers_or_none(goal.project.name)
        # Somebody else may have been faster with one of them, or an attempt that was killed.
        are_left = any(one.id in paused and one.state == "paused" for one in now)
        return report.failure if are_left else None

    async def _reload(
        self, goal: Goal, steps: JobSteps, before: Sequence[FoundContainer]
    ) -> Failed | None:
        """Start those again that hold on to a file of which there is a new one.

        Compose leaves them alone: their configuration names the same path.
        """
        paths = {f"{goal.project.directory}/{path}" for path in goal.changed_files}
        users = goal.judged.model.users_of(paths)
        ran = {one.id: one.service for one in before if one.state == "running"}
        now = await self._containers_or_none(goal.project.name)
        holding = sorted({ran[one.id] for one in now if one.id in ran} & users)
        if not holding:
            return None
        report = await steps.run(
            StepPlan(
                goal.step_beside(RELOAD),
                ComposeAction.RESTART,
                goal.project,
                self._deadlines.stop_s,
                consequence=goal.consequence,
                options=replace(goal.compose_options, services=tuple(holding)),
            )
        )
        return report.failure

    async def _judge(
        self,
        goal: Goal,
        steps: JobSteps,
        expected: Sequence[ExpectedService],
        before: Sequence[FoundContainer],
    ) -> Failed | None:
        found = await self._containers_or_none(goal.project.name)
        expected = with_comparable_hashes(expected, found)
        if goal.options.wait:
            failure = await self._lookout.wait(goal, steps, expected, before)
            if failure is not None:
                return failure
        return await self._lookout.verify(goal, steps, expected)

    async def _containers_or_none(self, name: ProjectName) -> Sequence[FoundContainer]:
        try:
            return await self._state.containers(name)
        except RuntimeUnavailable as exc:
            logger.warning("the containers of project '%s' cannot be read: %s", name, exc)
            return ()


def _paused(expected: Sequence[ExpectedService], found: Sequence[FoundContainer]) -> Sequence[str]:
    """The containers that somebody has paused, of services that are to run."""
    names = {one.name for one in expected}
    return [one.id for one in found if one.service in names and one.state == "paused"]
