"""Which command runs when.

Commands of one project run one after another in the order they came; different projects run at the
same time, up to a bound. Commands that concern no project run at once. The dispatcher belongs to the
process and not to a link: a link that ends cancels nothing. What changes something outlives the
process too: it is in the journal, and goes on when the agent starts again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from application.agent.damage import FORGOTTEN, is_forgotten
from application.agent.handling import Completed, Failed, Outcome, final_event
from application.agent.job_book import JobBook, JournalFailed
from application.agent.job_logging import about, log_news
from application.agent.room import DispatchLimits, Room
from application.agent.step_plan import StepTools
from application.agent.steps import JobSteps
from application.ports.clock import Clock
from domain.commands import CHANGING_COMMANDS, DeployCompose, project_of
from domain.errors import Canceled, Draining, InstaDeployError
from domain.events import FinalEvent, final_event_of, refusal_of
from domain.job import Job, JobState
from domain.ledger_jobs import LedgerJob
from domain.records import JobFinished, job_of

logger = logging.getLogger(__name__)

INTERRUPTED: Final = "the agent stopped before the job had ended, and ended it"
"""Said of a read that was running when the agent was stopped."""
_BUG: Final = "the agent failed to carry this out because of an internal error; its log says more"


class ResultSink(Protocol):
    """Takes what is to be said of jobs."""

    def put(self, event: FinalEvent) -> None:
        """The final event of a read."""
        ...

    def put_result(self, event: FinalEvent) -> None:
        """The final event of a job that is in the journal, to be said again until it is confirmed."""
        ...


class Dispatcher:
    """Carries jobs out, and gives each its one end."""

    def __init__(
        self,
        *,
        handlers: Mapping[type[Any], Callable[..., Any]],
        book: JobBook,
        tools: StepTools,
        results: ResultSink,
        clock: Clock,
        limits: DispatchLimits,
    ) -> None:
        self._handlers = handlers
        self._book = book
        self._tools = tools
        self._results = results
        self._clock = clock
        self.room = Room(limits)
        self._turns = asyncio.Semaphore(limits.running_projects)
        self._lanes: dict[str, deque[Job]] = {}
        self._open: dict[str, Job] = {}
        self._steps: dict[str, JobSteps] = {}
        self._expiries: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self, started: asyncio.Event) -> None:
        """Own the tasks of all jobs until cancelled, which ends reads and leaves the others alone.

        `started` is set when what the journal knows of goes on. Raises `JournalFailed` where that
        happens.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._recover()
            started.set()
            await asyncio.get_running_loop().create_future()

    def open(self, job: Job) -> None:
        """Let a job run when its turn comes; it was counted into `room`."""
        assert self._tasks is not None
        if job.is_journalled:
            self._open[job.job_id.value] = job
        if job.deadline is not None:
            self._expiries[job.job_id.value] = self._tasks.create_task(
                self._expire(job), name=f"deadline-{job.job_id}"
            )
        project = project_of(job.command)
        if project is None:
            self._tasks.create_task(self._carry_out(job), name=f"job-{job.job_id}")
            return
        lane = self._lanes.get(project.compose_name)
        if lane is not None:
            self._supersede(lane, job)
            lane.append(job)
            return
        self._lanes[project.compose_name] = deque([job])
        self._tasks.create_task(
            self._work_lane(project.compose_name), name=f"project-{project.compose_name}"
        )

    def cancel(self, job_id: str) -> None:
        """End a job that is open: at once where it waits, soon where it runs."""
        job = self._open.get(job_id)
        if job is None:
            return
        if job_id in self._steps:
            self._steps[job_id].cancel()
        elif job.state is JobState.ACCEPTED and not self._has_begun(job):
            self._end_unbegun(job, JobState.CANCELED, "canceled before it was begun")

    def drain(self) -> None:
        """Refuse the reads that wait; what is in the journal goes on when the agent starts again."""
        for lane in self._lanes.values():
            for job in [job for job in lane if not job.is_journalled]:
                lane.remove(job)
                job.move_to(JobState.CANCELED)
                self._close(job)
                self._results.put(refusal_of(job.job_id.value, Draining()))

    async def _recover(self) -> None:
        for known in list(self._book.ledger.open_jobs()):
            if await is_forgotten(known, self._book, self._tools.executor, self._clock):
                await self._bury(known)
                continue
            assert known.accepted.command is not None
            self.room.take(known.accepted.command)
            job = job_of(known.accepted, self._clock.since_boot())
            job.is_recovered = True
            self.open(job)
            if known.is_cancel_requested and not known.attempts:
                self.cancel(known.job_id)

    async def _bury(self, known: LedgerJob) -> None:
        finished = self._finished(
            known.job_id, JobState.FAILED, Failed(FORGOTTEN, data={"reason": "journal_damaged"})
        )
        await self._record_result(finished)

    async def _work_lane(self, compose_name: str) -> None:
        lane = self._lanes[compose_name]
        while lane:
            async with self._turns:
                # What waited may be gone by the time that it is its turn.
                if lane:
                    await self._carry_out(lane.popleft())
        del self._lanes[compose_name]

    def _supersede(self, lane: deque[Job], newer: Job) -> None:
        if not (newer.is_sequenced and isinstance(newer.command, DeployCompose)):
            return
        for job in list(lane):
            if (
                job.is_sequenced
                and isinstance(job.command, DeployCompose)
                and not self._has_begun(job)
            ):
                self._end_unbegun(
                    job,
                    JobState.SUPERSEDED,
                    f"superseded by {newer.job_id.value!r}, a newer deployment of its project",
                    {"superseded_by": newer.job_id.value},
                )

    def _has_begun(self, job: Job) -> bool:
        """Whether a step of it was, in this life of the agent or another: it may be running."""
        known = self._book.ledger.jobs.get(job.job_id.value)
        return known is not None and bool(known.attempts)

    async def _expire(self, job: Job) -> None:
        assert job.deadline is not None
        await self._clock.sleep(job.deadline - self._clock.since_boot().seconds)
        self._expire_unbegun(job)

    def _expire_unbegun(self, job: Job) -> None:
        if job.state is JobState.ACCEPTED and not self._has_begun(job):
            self._end_unbegun(job, JobState.EXPIRED, "its deadline passed before it was begun")

    def _end_unbegun(
        self, job: Job, state: JobState, why: str, data: Mapping[str, object] | None = None
    ) -> None:
        project = project_of(job.command)
        if project is not None and job in (lane := self._lanes.get(project.compose_name, deque())):
            lane.remove(job)
        job.move_to(state)
        failed = Failed(why, data={"reason": state.value, **(data or {})})
        with about(job):
            self._spawn(self._end(job, failed), f"end-{job.job_id}")

    async def _carry_out(self, job: Job) -> None:
        with about(job):
            await self._begin(job)

    async def _begin(self, job: Job) -> None:
        if job.deadline is not None and self._clock.since_boot().seconds >= job.deadline:
            self._expire_unbegun(job)  # It passed while no agent ran.
        if job.state is not JobState.ACCEPTED:
            return
        job.move_to(JobState.RUNNING)
        log_news(logger, job, "job %s: %s starts", job.job_id.value, type(job.command).__name__)
        try:
            outcome = await self._outcome_of(job)
        except asyncio.CancelledError:
            if not job.is_journalled:
                job.move_to(JobState.CANCELED)
                failed = Failed(INTERRUPTED, data={"reason": "interrupted"})
                self._close(job)
                self._results.put(final_event(job.job_id.value, failed))
            raise
        await self._end(job, outcome)

    async def _outcome_of(self, job: Job) -> Outcome:
        try:
            outcome = await self._handle(job)
        except Canceled as exc:
            job.move_to(JobState.CANCELED)
            return Failed(str(exc), logs=exc.logs, data={**exc.data, "reason": exc.code})
        except InstaDeployError as exc:
            refusal = refusal_of(job.job_id.value, exc)
            outcome = Failed(refusal.error, data=refusal.data)
        except JournalFailed:
            raise
        except Exception:
            command_name = type(job.command).__name__
            logger.exception("job %s: %s broke; this is a bug", job.job_id.value, command_name)
            outcome = Failed(_BUG, data={"reason": InstaDeployError.code})
        job.move_to(JobState.SUCCEEDED if isinstance(outcome, Completed) else JobState.FAILED)
        return outcome

    async def _handle(self, job: Job) -> Outcome:
        handler = self._handlers[type(job.command)]
        outcome: Outcome
        job_id = job.job_id.value
        command = job.command
        if job.is_private:
            command = await self._tools.private.restore(job_id)
        if not isinstance(command, CHANGING_COMMANDS):
            outcome = await handler(command)
            return outcome
        steps = JobSteps(job_id, job.deadline, self._tools, is_recovered=job.is_recovered)
        known = self._book.ledger.jobs.get(job_id)
        if known is not None and known.is_cancel_requested:
            steps.cancel()
        self._steps[job_id] = steps
        try:
            outcome = await handler(command, steps)
            await steps.end_what_runs()
        except InstaDeployError:
            await steps.end_what_runs()
            raise
        finally:
            del self._steps[job_id]
        return outcome

    async def _end(self, job: Job, outcome: Outcome) -> None:
        """Give a job its end, which is durable before anybody is told."""
        job_id = job.job_id.value
        if job.is_journalled:
            await self._record_result(self._finished(job_id, job.state, outcome))
            self._close(job)
        else:
            self._close(job)
            self._results.put(final_event(job_id, outcome))
        if isinstance(outcome, Failed):
            # The error may quote Compose, which may quote the compose file.
            logger.warning("job %s: %s: %s", job_id, job.state, outcome.what)
        else:
            log_news(logger, job, "job %s: %s", job_id, job.state)

    async def _record_result(self, finished: JobFinished) -> None:
        await self._book.record(finished, must=True)
        self._results.put_result(final_event_of(finished))

    def _finished(self, job_id: str, state: JobState, outcome: Outcome) -> JobFinished:
        return JobFinished(
            job_id,
            state,
            outcome.logs,
            outcome.error if isinstance(outcome, Failed) else "",
            outcome.data,
            self._clock.now().timestamp(),
        )

    def _close(self, job: Job) -> None:
        self._open.pop(job.job_id.value, None)
        if (expiry := self._expiries.pop(job.job_id.value, None)) is not None:
            expiry.cancel()
        self.room.free(job.command)

    def _spawn(self, work: Any, name: str) -> None:
        assert self._tasks is not None
        self._tasks.create_task(work, name=name)
