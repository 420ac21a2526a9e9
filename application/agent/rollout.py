"""Brings a project up and looks whether it is: the part that deploying and going back share."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from application.agent.handling import Deadlines, Failed
from application.agent.project_judge import Judged
from application.agent.step_plan import StepPlan
from application.agent.steps import JobSteps
from application.ports.clock import Clock
from application.ports.compose_executor import ComposeAction, ComposeOptions
from application.ports.engine_state import EngineState
from domain.commands import DeployOptions
from domain.compose_model import ComposeModel
from domain.drift import proper_names
from domain.engine_state import FoundContainer
from domain.errors import RuntimeUnavailable
from domain.expectation import expected_services
from domain.health_watch import HealthWatch, Patience
from domain.project import Project, ProjectName
from domain.revision import RanImage
from domain.verification import Condition, ExpectedService, Verdict, verify, with_comparable_hashes

logger = logging.getLogger(__name__)

APPLY: Final = "apply"
RELOAD: Final = "reload"
WAIT: Final = "wait"
VERIFY: Final = "verify"
FIRST_LOOK_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
NO_CONTAINERS: Final = "no container of it is left"


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to run. `files` names what Compose is given; `step` is how its `up` is called."""

    project: Project
    judged: Judged
    options: DeployOptions
    step: str
    consequence: str
    docker_config: str = ""
    changed_files: frozenset[str] = frozenset()
    """Paths in the project's directory that name other files than before."""

    @property
    def compose_options(self) -> ComposeOptions:
        """What Compose is told beside the files."""
        return ComposeOptions(
            profiles=self.options.profiles,
            remove_orphans=self.options.remove_orphans,
            docker_config=self.docker_config,
        )


class Rollout:
    """Carries a goal out. Everything that it reads may be read again after a restart."""

    def __init__(self, *, state: EngineState, clock: Clock, deadlines: Deadlines) -> None:
        self._state = state
        self._clock = clock
        self._deadlines = deadlines

    async def carry_out(self, goal: Goal, steps: JobSteps) -> Failed | None:
        """Bring it up, wait until it is well, and look at it once more.

        None where it runs as it should. Raises `Canceled`, and `RuntimeUnavailable` where the engine
        cannot be asked for longer than all of that may take.
        """
        was_begun = steps.has_begun(goal.step)
        before = await self._containers_or_none(goal.project.name)
        expected = await self.expected(goal)
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

    async def images(self, name: ProjectName, model: ComposeModel) -> tuple[RanImage, ...]:
        """The images that the project's containers are made from, to find them again."""
        found: dict[str, FoundContainer] = {}
        for container in await self._containers_or_none(name):
            if not container.is_oneoff and container.image_id:
                found.setdefault(container.service, container)
        images = []
        for service, reference in references(name, model).items():
            one = found.get(service)
            if one is not None and one.image_id is not None:
                digest = await self._digest(reference, one.image_id)
                images.append(RanImage(service, reference, one.image_id, digest))
        return tuple(images)

    async def what_is_left(self, name: ProjectName) -> str:
        """In words, what the engine has of a project now."""
        try:
            found = await self._state.containers(name)
        except RuntimeUnavailable as exc:
            return f"what is left of it cannot be said: {exc}"
        if not found:
            return NO_CONTAINERS
        return "left are " + ", ".join(f"{one.name} ({one.status or one.state})" for one in found)

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
                f"{goal.step} {RELOAD}" if goal.step != APPLY else RELOAD,
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
            failure = await self._wait(goal, steps, expected, before)
            if failure is not None:
                return failure
        return await self._verify(goal, steps, expected)

    async def _wait(
        self,
        goal: Goal,
        steps: JobSteps,
        expected: Sequence[ExpectedService],
        before: Sequence[FoundContainer],
    ) -> Failed | None:
        longest_s = goal.options.wait_timeout_s or self._deadlines.wait_s
        left_s = steps.time_left_s(longest_s)
        give_up_at = self._clock.monotonic() + left_s
        watch = HealthWatch(
            goal.project.name, expected, Patience(settle_s=self._deadlines.settle_s), before
        )
        pause_s = FIRST_LOOK_S
        said: set[str] = set()
        with steps.stages.speaking(WAIT) as stage:
            while True:
                verdict, trouble = await self._look(goal.project.name, watch)
                for sentence in _news(verdict, trouble):
                    if sentence not in said:
                        said.add(sentence)
                        stage.say(sentence)
                if verdict is not None and verdict.condition is Condition.GOOD:
                    return None
                is_late = self._clock.monotonic() >= give_up_at
                if is_late or (verdict is not None and verdict.condition is Condition.BAD):
                    stage.fail()
                    if verdict is None:
                        assert trouble is not None
                        raise trouble
                    if is_late and left_s < longest_s:
                        late = _unwell(verdict, " before the job's deadline", goal.consequence)
                        return replace(late, data={**late.data, "reason": "deadline"})
                    why = f" within {longest_s:g} s" if is_late else ""
                    return _unwell(verdict, why, goal.consequence)
                await steps.pause(pause_s, goal.consequence)
                pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)

    async def _look(
        self, name: ProjectName, watch: HealthWatch
    ) -> tuple[Verdict | None, RuntimeUnavailable | None]:
        try:
            found = await self._state.containers(name)
        except RuntimeUnavailable as exc:
            return None, exc
        return watch.observe(self._clock.monotonic(), found), None

    async def _verify(
        self, goal: Goal, steps: JobSteps, expected: Sequence[ExpectedService]
    ) -> Failed | None:
        with steps.stages.speaking(VERIFY) as stage:
            found = await self._state.containers(goal.project.name)
            if goal.options.wait:
                verdict = verify(goal.project.name, expected, found)
            else:
                # That it was started is all that was asked: how it does from there on is not.
                started = [replace(one, has_healthcheck=False) for one in expected]
                verdict = verify(goal.project.name, started, found)
            for sentence in verdict.sentences(Condition.GOOD):
                stage.say(sentence)
            is_good = verdict.condition is Condition.GOOD or (
                not goal.options.wait and verdict.condition is Condition.WAITING
            )
            if is_good:
                return None
            stage.fail()
            failure = _unwell(verdict, "", goal.consequence)
            for sentence in failure.logs.splitlines():
                stage.say(sentence)
            return failure

    async def _containers_or_none(self, name: ProjectName) -> Sequence[FoundContainer]:
        try:
            return await self._state.containers(name)
        except RuntimeUnavailable as exc:
            logger.warning("the containers of project '%s' cannot be read: %s", name, exc)
            return ()

    async def _digest(self, reference: str, image_id: str) -> str:
        try:
            image = await self._state.image(image_id)
        except RuntimeUnavailable:
            return ""
        if image is None or not image.repo_digests:
            return ""
        repository = reference.partition("@")[0]
        last = repository.rpartition("/")[2]
        if ":" in last:
            repository = repository[: -len(last)] + last.partition(":")[0]
        own = [one for one in image.repo_digests if one.partition("@")[0] == repository]
        return (own or list(image.repo_digests))[0]


def references(name: ProjectName, model: ComposeModel) -> Mapping[str, str]:
    """What each service calls its image; Compose's own name for one that is only built."""
    return {
        service.name: service.image or f"{name.compose_name}-{service.name}"
        for service in model.services
        if service.provider is None
    }


def _news(verdict: Verdict | None, trouble: RuntimeUnavailable | None) -> Sequence[str]:
    if verdict is None:
        return [str(trouble)]
    return [one.sentence for one in verdict.findings]


def _unwell(verdict: Verdict, why: str, consequence: str) -> Failed:
    bad = verdict.sentences(Condition.BAD) or verdict.sentences(Condition.WAITING)
    services = {
        name: condition.value
        for name, condition in verdict.services.items()
        if condition is not Condition.GOOD
    }
    return Failed(
        f"the project did not come up as it should{why}; {consequence}",
        cause="; ".join(bad),
        logs="".join(f"{one.sentence}\n" for one in verdict.findings),
        data={"reason": "unhealthy", "services": services, "findings": list(bad)},
    )
