"""The attempts at the steps of one job: each is started once, watched, or found again, and written down."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final

from application.agent.live_output import PrintedStep
from application.agent.printed_text import text_of
from application.agent.step_plan import StepPlan, StepTools
from application.ports.compose_executor import ComposeAction, RunningStep
from domain.errors import InstaDeployError, RuntimeUnavailable
from domain.ledger_jobs import Attempt
from domain.records import StepExit, StepExited, StepStarted, StepStarting

logger = logging.getLogger(__name__)

OVERDUE_S: Final = 30.0
"""How long after its deadline a step may still run before it is ended from outside."""
KILLED: Final = -9


class Attempts:
    """What was tried is in the ledger, whichever life of the agent it was that tried.

    `canceled` is set when somebody wants the job to end.
    """

    def __init__(self, job_id: str, tools: StepTools, canceled: asyncio.Event) -> None:
        self._job_id = job_id
        self._tools = tools
        self._canceled = canceled

    def at(self, step: str) -> Sequence[Attempt]:
        """Those at one step, oldest first."""
        job = self._tools.book.ledger.jobs.get(self._job_id)
        return [] if job is None else job.attempts_at(step)

    def steps(self) -> Sequence[str]:
        """The steps that were begun, in that order."""
        job = self._tools.book.ledger.jobs.get(self._job_id)
        return [] if job is None else list(dict.fromkeys(one.step for one in job.attempts))

    def seconds(self, step: str) -> float:
        """How long those at a step took together, as far as they are over."""
        return sum(one.exit.seconds for one in self.at(step) if one.exit is not None)

    async def printed(self, step: str) -> str:
        """The output of the last one at a step, its middle left out where it is long."""
        attempt = self.at(step)[-1]
        running = await self._tools.executor.find(attempt.token)
        return "" if running is None else await text_of(running, attempt.exit)

    async def make(self, plan: StepPlan, number: int, give_up_at: float) -> StepExit | None:
        """Come to the end of an attempt: of a new one, or of the one of this number that there is.

        `give_up_at` is in seconds since boot. None where it was interrupted, so that it has no end.
        """
        tools = self._tools
        known = self.at(plan.name)[number - 1 : number]
        if not known:
            running: RunningStep | None = await self._start(plan, number, give_up_at)
        else:
            running = await tools.executor.find(known[0].token)
        if running is not None:
            token = self.at(plan.name)[number - 1].token
            tools.live.add(self._job_id, PrintedStep(plan.name, number, token, running))
        if known and known[0].is_over:
            return known[0].exit
        exit_ = None if running is None else await self._watch(plan, number, running, give_up_at)
        await tools.book.record(StepExited(self._job_id, plan.name, number, exit_), must=True)
        return exit_

    async def end_all(self) -> None:
        """End those that are not over: another life of the agent began them, and nobody asks for them."""
        tools = self._tools
        job = tools.book.ledger.jobs.get(self._job_id)
        for known in [] if job is None else [one for one in job.attempts if not one.is_over]:
            running = await tools.executor.find(known.token)
            exit_ = None
            if running is not None:
                printed = PrintedStep(known.step, known.number, known.token, running)
                tools.live.add(self._job_id, printed)
                logger.warning("job %s: ending its %s, which still ran", self._job_id, known.step)
                await running.end("cancel")
                exit_ = await running.wait() or StepExit(KILLED, ended_by="cancel")
            exited = StepExited(self._job_id, known.step, known.number, exit_)
            await tools.book.record(exited, must=True)

    async def put_names_right(self, plan: StepPlan) -> None:
        """Give the project's containers the names that they should have."""
        names, project = self._tools.names, plan.project.name
        repairs = list(await names.put_right(project))
        if plan.names:
            repairs += await names.rename(project, plan.names)
        for repair in repairs:
            logger.warning("job %s: %s", self._job_id, repair)

    async def _start(self, plan: StepPlan, number: int, give_up_at: float) -> RunningStep:
        tools = self._tools
        moment = tools.clock.since_boot()
        token = tools.new_token()
        if plan.action is ComposeAction.UP:
            # An engine that does not answer now is Compose's to tell of.
            with contextlib.suppress(RuntimeUnavailable):
                await self.put_names_right(plan)
        await tools.book.record(
            StepStarting(self._job_id, plan.name, number, token, moment.boot_id), must=True
        )
        try:
            return await tools.executor.start(
                token,
                plan.action,
                plan.project,
                deadline_s=max(give_up_at - moment.seconds, 0.001),
                options=plan.options,
            )
        except InstaDeployError:
            await tools.book.record(StepExited(self._job_id, plan.name, number, None), must=True)
            raise

    async def _watch(
        self, plan: StepPlan, number: int, running: RunningStep, give_up_at: float
    ) -> StepExit | None:
        clock = self._tools.clock
        started = StepStarted(self._job_id, plan.name, number, running.process)
        over = asyncio.create_task(running.wait(), name=f"step-{plan.name}")
        canceled = asyncio.create_task(self._canceled.wait(), name="step-cancel")
        # It ends itself at its deadline, unless something keeps its supervisor from that.
        overdue_s = max(give_up_at - clock.since_boot().seconds, 0.0) + OVERDUE_S
        overdue = asyncio.create_task(clock.sleep(overdue_s), name="step-overdue")
        tasks = {over, canceled, overdue}
        try:
            await self._tools.book.record(started, must=True)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if over.done():
                return over.result()
            why = "cancel" if canceled.done() else "deadline"
            await running.end(why)
            # Where its supervisor had to be killed too, nothing is recorded.
            return await over or StepExit(KILLED, ended_by=why)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
