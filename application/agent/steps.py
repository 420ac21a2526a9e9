"""The journalled steps of a job: each is carried out once, whatever happens to the agent.

A step that is over is never begun again: asked for once more, by an agent that starts again, it gives
what is written down. One that runs is found again. One whose executor was killed is tried again, a
bounded number of times, after its predecessor was proven dead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from application.agent.attempts import Attempts
from application.agent.handling import Failed, StepTimedOut, compose_failure, run_step
from application.agent.stages import Stages
from application.agent.step_plan import StepPlan, StepReport, StepTools, was_interrupted
from application.ports.compose_executor import ComposeAction
from domain.errors import Canceled, RuntimeUnavailable
from domain.records import StepExit

logger = logging.getLogger(__name__)

ENGINE: Final = "engine"
VERSION: Final = "asking Docker Compose for its version"
ASKING_ENGINE: Final = "asking Docker Engine"
STARTS: Final = 20
"""How often one may be about to start."""
ENGINE_RETRY_S: Final = 1.0
_TOUCHES_NOTHING: Final = (ComposeAction.PULL, ComposeAction.BUILD)
_REMOVES_CONTAINERS: Final = (ComposeAction.UP, ComposeAction.DOWN, ComposeAction.REMOVE)
_WAITS_FOR_THE_ENGINE: Final = (*_TOUCHES_NOTHING, ComposeAction.UNPAUSE, ComposeAction.UP)
"""A deployment does, up to its deadline; who stops something wants to know at once."""


class JobSteps:
    """The steps of one job; `deadline` is in seconds since boot, None where it has none."""

    def __init__(
        self,
        job_id: str,
        deadline: float | None,
        tools: StepTools,
        *,
        is_recovered: bool = False,
    ) -> None:
        self._job_id = job_id
        self._deadline = deadline
        self._tools = tools
        self._cancel = asyncio.Event()
        self._attempts = Attempts(job_id, tools, self._cancel)
        # What is spoken is not kept. Whoever has heard some of it must not take what another life
        # of the agent says for the same: tenths of seconds since boot tell the lives apart.
        lives = int(tools.clock.since_boot().seconds * 10) if is_recovered else 0
        self.stages = Stages(job_id, tools.clock, tools.live, first_attempt=lives + 1)

    @property
    def job_id(self) -> str:
        """Whose steps they are."""
        return self._job_id

    @property
    def is_canceled(self) -> bool:
        """Whether somebody wants the job to end."""
        return self._cancel.is_set()

    def undoing(self, prefix: str) -> JobSteps:
        """The steps that take back what the job did: whoever wanted it to end wants these too."""
        steps = JobSteps(self._job_id, None, self._tools)
        steps.stages = self.stages.within(prefix)
        return steps

    def cancel(self) -> None:
        """End the step that runs, and begin no other."""
        self._cancel.set()

    def has_begun(self, name: str) -> bool:
        """Whether there was a first attempt at a step, in this life of the agent or another."""
        return bool(self._attempts.at(name))

    def recall(self) -> None:
        """Tell of the steps that another life of the agent has carried out, as of those of this one."""
        for name in self._attempts.steps():
            with self.stages.running(name) as stage:
                stage.seconds = self._attempts.seconds(name)

    async def end_what_runs(self) -> None:
        """End what an earlier life of the agent began, where the job comes to another end than that.

        Two steps of a project never run at once, and none when its job is over.
        """
        await self._attempts.end_all()

    async def printed(self, name: str) -> str:
        """The output of the last attempt at a step, its middle left out where it is long."""
        return await self._attempts.printed(name)

    async def ask(
        self, question: str, deadline_s: float, asking: Coroutine[Any, Any, None]
    ) -> None:
        """Await what has to be known before a first step, and changes nothing.

        Raises `Canceled`, `RuntimeUnavailable` where it takes longer than `deadline_s`, and what
        `asking` raises.
        """
        try:
            await self._unless_canceled(
                run_step(self._tools.clock, question, deadline_s, asking),
                f"canceled while {question}; nothing was changed",
            )
        except StepTimedOut as exc:
            raise RuntimeUnavailable(f"{exc}; nothing was changed") from exc

    def time_left_s(self, longest_s: float) -> float:
        """How long something may take that the job's deadline bounds too."""
        if self._deadline is None:
            return longest_s
        left = self._deadline - self._tools.clock.since_boot().seconds
        return min(longest_s, max(left, 0.0))

    async def pause(self, seconds: float, consequence: str) -> None:
        """Let time pass between two looks at something. Raises `Canceled`."""
        what = f"canceled; {consequence}"
        await self._unless_canceled(self._tools.clock.sleep(seconds), what)
        if self._cancel.is_set():
            raise Canceled(what)

    async def engine_answers(self, longest_s: float, consequence: str) -> None:
        """Wait for an engine that is down; raises `RuntimeUnavailable` where it is for longer.

        `consequence` is for `Canceled`.
        """
        give_up_at = self._tools.clock.since_boot().seconds + self.time_left_s(longest_s)
        await self._engine_answers(consequence, give_up_at)

    async def run(self, plan: StepPlan) -> StepReport:
        """Carry the step out, or give what it gave before.

        Raises `Canceled`, and `RuntimeUnavailable` or `StorageUnavailable` where it could not be
        begun. Cancelled, the step goes on by itself, and is found by an agent that starts again.
        """
        with self.stages.running(plan.name) as stage:
            report = await self._run(plan)
            stage.seconds = self._attempts.seconds(plan.name)
            if report.failure is not None:
                stage.fail()
            return report

    async def _run(self, plan: StepPlan) -> StepReport:
        attempts = self._attempts
        give_up_at = self._tools.clock.since_boot().seconds + self.time_left_s(plan.deadline_s)
        if self._cancel.is_set() and not self.has_begun(plan.name):
            raise Canceled(f"canceled before {plan.command} was begun")
        killed = 0
        for number in range(1, STARTS + 1):
            if number > max(1, len(attempts.at(plan.name))):
                logger.info("job %s: %s, attempt %d", self._job_id, plan.command, number)
                await self._before_another(plan, give_up_at, has_run=killed > 0)
                if self._cancel.is_set():
                    break
            exit_ = await attempts.make(plan, number, give_up_at)
            # Then the one that follows was begun in an earlier life of the agent, and may run.
            is_followed = len(attempts.at(plan.name)) > number
            if exit_ is not None and not was_interrupted(exit_) and not is_followed:
                is_last = self._cancel.is_set() or killed + 1 >= plan.attempts
                if is_last or not await self._failed_through_the_engine(plan, exit_):
                    return await self._report(plan, exit_, number, give_up_at)
            # One that never came to run, because the agent died the moment before, is none.
            killed += attempts.at(plan.name)[number - 1].process is not None
            if is_followed:
                continue
            if self._cancel.is_set() or killed == plan.attempts:
                break
            logger.warning("job %s: %s was interrupted", self._job_id, plan.command)
        return await self._report_interrupted(plan)

    async def _failed_through_the_engine(self, plan: StepPlan, exit_: StepExit) -> bool:
        """Whether it was nothing that was asked for that failed: then another attempt may do."""
        if exit_.exit_code == 0 or exit_.ended_by:
            return False
        return await self._engine_was_lost(plan) or await self._engine_kept_a_container(plan)

    async def _engine_kept_a_container(self, plan: StepPlan) -> bool:
        """Whether the engine did not get one removed that was to go."""
        if plan.action not in _REMOVES_CONTAINERS:
            return False
        try:
            kept = await self._tools.names.half_removed(plan.project.name)
        except RuntimeUnavailable:
            return False
        for name in kept:
            logger.warning(
                "job %s: %s failed: the engine did not get the container %s removed",
                *(self._job_id, plan.command, name),
            )
        return bool(kept)

    async def _engine_was_lost(self, plan: StepPlan) -> bool:
        """Whether the engine went down under it."""
        if plan.action not in _WAITS_FOR_THE_ENGINE:
            return False
        try:
            await self._tools.engine.ping()
        except RuntimeUnavailable as exc:
            logger.warning("job %s: %s failed: %s", self._job_id, plan.command, exc)
            return True
        return False

    async def _engine_answers(self, consequence: str, give_up_at: float) -> None:
        """Wait for the engine, which comes up later than the agent after a reboot, and say so."""
        clock = self._tools.clock
        trouble = await self._trouble(consequence)
        if trouble is None:
            return
        with self.stages.speaking(ENGINE) as stage:
            stage.say(f"waiting for the engine: {trouble}")
            while clock.since_boot().seconds < give_up_at:
                await self.pause(ENGINE_RETRY_S, consequence)
                trouble = await self._trouble(consequence)
                if trouble is None:
                    stage.say("it answers again")
                    return
            raise trouble

    async def _trouble(self, consequence: str) -> RuntimeUnavailable | None:
        """What keeps the engine from answering now."""
        what = f"canceled while {ASKING_ENGINE}; {consequence}"
        pinging = self._tools.engine.ping()
        try:
            # Once it is canceled, what has ended is told of all the same.
            await (pinging if self._cancel.is_set() else self._unless_canceled(pinging, what))
        except RuntimeUnavailable as exc:
            return exc
        return None

    async def _unless_canceled(self, work: Coroutine[Any, Any, None], what: str) -> None:
        working = asyncio.create_task(work, name="step-work")
        canceled = asyncio.create_task(self._cancel.wait(), name="step-cancel")
        try:
            await asyncio.wait({working, canceled}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Canceled(what)
            working.result()
        finally:
            for task in (working, canceled):
                task.cancel()
            await asyncio.wait({working, canceled})

    async def _before_another(self, plan: StepPlan, give_up_at: float, *, has_run: bool) -> None:
        """Wait until another attempt makes sense: what a killed Compose asked for is still done."""
        await self._engine_answers(plan.consequence, give_up_at)
        if has_run and plan.action not in _TOUCHES_NOTHING:
            await self._tools.names.settle(plan.project.name)

    async def _report(
        self, plan: StepPlan, exit_: StepExit, number: int, give_up_at: float
    ) -> StepReport:
        if plan.action is ComposeAction.UP and number > 1:
            await self._engine_answers(plan.consequence, give_up_at)
            await self._attempts.put_names_right(plan)
        output = await self.printed(plan.name)
        if exit_.exit_code != 0 and exit_.ended_by == "cancel":
            raise Canceled(f"canceled during {plan.command}; {plan.consequence}", output)
        if exit_.exit_code != 0 and exit_.ended_by == "deadline":
            what = (
                f"{plan.command} took longer than {plan.deadline_s:g} s and was ended"
                if self._deadline is None
                else f"{plan.command} was ended, because the job's deadline had passed"
            )
            late = Failed(f"{what}; {plan.consequence}", logs=output, data={"reason": "deadline"})
            return StepReport(output, late)
        return StepReport(
            output,
            compose_failure(plan.command, exit_.exit_code, output, consequence=plan.consequence),
        )

    async def _report_interrupted(self, plan: StepPlan) -> StepReport:
        output = await self.printed(plan.name)
        if self._cancel.is_set():
            raise Canceled(f"canceled during {plan.command}; {plan.consequence}", output)
        return StepReport(
            output,
            Failed(
                f"{plan.command} was killed{plan.times}; {plan.consequence}",
                logs=output,
                data={"reason": "interrupted"},
            ),
        )
