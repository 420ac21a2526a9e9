"""Looks at what the engine has of a project until it is well, or is not going to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from application.agent.goal import Goal
from application.agent.handling import Deadlines, Failed
from application.agent.steps import JobSteps
from application.ports.clock import Clock
from application.ports.engine_state import EngineState
from domain.engine_state import FoundContainer
from domain.errors import RuntimeUnavailable
from domain.health_watch import HealthWatch, Patience
from domain.project import ProjectName
from domain.verification import Condition, ExpectedService, Verdict, verify

WAIT: Final = "wait"
VERIFY: Final = "verify"
FIRST_LOOK_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0


class Lookout:
    """It changes nothing: all of it may be done again after a restart."""

    def __init__(self, *, state: EngineState, clock: Clock, deadlines: Deadlines) -> None:
        self._state = state
        self._clock = clock
        self._deadlines = deadlines

    async def wait(
        self,
        goal: Goal,
        steps: JobSteps,
        expected: Sequence[ExpectedService],
        before: Sequence[FoundContainer],
    ) -> Failed | None:
        """Look again and again until all is well; None where it is.

        Raises `Canceled`, and `RuntimeUnavailable` where the engine does not answer in all that time.
        """
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
                        return _too_late(verdict, goal.consequence)
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

    async def verify(
        self, goal: Goal, steps: JobSteps, expected: Sequence[ExpectedService]
    ) -> Failed | None:
        """Look once; None where all is as it should be."""
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


def _news(verdict: Verdict | None, trouble: RuntimeUnavailable | None) -> Sequence[str]:
    if verdict is None:
        return [str(trouble)]
    return [one.sentence for one in verdict.findings]


def _too_late(verdict: Verdict, consequence: str) -> Failed:
    late = _unwell(verdict, " before the job's deadline", consequence)
    return replace(late, data={**late.data, "reason": "deadline"})


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
