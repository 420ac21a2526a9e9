"""Which command runs when.

Commands of one project run one after another in the order they came; different projects run at the
same time, up to a bound. Commands that concern no project run at once. The dispatcher belongs to the
process and not to a link: a link that ends cancels nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from application.agent.handling import Completed, Handler, Outcome
from domain.commands import CHANGING_COMMANDS, Command, project_of, weight_of
from domain.errors import Busy, Conflict, Draining, InstaDeployError
from domain.events import Event, FinalEvent, JobCompleted, JobFailed, JobReceived, refusal_of
from domain.job import Job, JobState
from domain.messages import MalformedMessage, Message, RefusedRequest, Request

logger = logging.getLogger(__name__)

INTERRUPTED: Final = "the agent stopped before the job had ended, and ended it"
"""Said of a job that was running when the agent's time to stop was over."""


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """Bounds on what waits and runs together (open) and on what runs. Sizes in bytes."""

    open_jobs: int = 1024
    open_bytes: int = 64 * 1024 * 1024
    running_projects: int = 8


class Dispatcher:
    """Takes messages in, and emits each job's events in order: received, then one final event."""

    def __init__(
        self,
        *,
        handlers: Mapping[type[Any], Handler[Any]],
        emit: Callable[[Event], None],
        limits: DispatchLimits,
    ) -> None:
        self._handlers = handlers
        self._emit = emit
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.running_projects)
        self._lanes: dict[str, deque[Job]] = {}
        self._changing: dict[str, Job] = {}
        self._open_jobs = 0
        self._open_bytes = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Own the tasks of all jobs until cancelled; cancelling ends them and what they started."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.get_running_loop().create_future()

    def submit(self, message: Message) -> None:
        """Take one message in. Never waits: what cannot be taken is answered with a failure."""
        match message:
            case Request():
                self._emit(JobReceived(message.job_id.value))
                try:
                    self._accept(message)
                except InstaDeployError as exc:
                    self._emit(refusal_of(message.job_id.value, exc))
            case RefusedRequest():
                self._emit(JobReceived(message.job_id))
                self._emit(refusal_of(message.job_id, message.error))
            case MalformedMessage():
                self._emit(refusal_of(message.job_id, message.error))

    async def drain(self, patience: asyncio.Event) -> None:
        """Take no new commands, refuse those that wait, and let those that run end.

        Returns when all have ended or `patience` is set, whichever comes first.
        """
        self._draining = True
        for lane in self._lanes.values():
            for job in [job for job in lane if job.state is JobState.ACCEPTED]:
                lane.remove(job)
                job.move_to(JobState.CANCELED)
                self._close(job, refusal_of(job.job_id.value, Draining()))
        async with asyncio.TaskGroup() as waiting:
            idle = waiting.create_task(self._idle.wait(), name="drain-idle")
            given_up = waiting.create_task(patience.wait(), name="drain-patience")
            await asyncio.wait({idle, given_up}, return_when=asyncio.FIRST_COMPLETED)
            idle.cancel()
            given_up.cancel()

    def _accept(self, request: Request) -> None:
        if self._draining or self._tasks is None:
            raise Draining()
        job = Job(request.job_id, request.command)
        if isinstance(job.command, CHANGING_COMMANDS):
            twin = self._changing.get(job.job_id.value)
            if twin is not None:
                if twin.command == job.command:
                    return  # Still being carried out; its final event answers both.
                raise Conflict(f"id: {job.job_id.value!r} belongs to another command being run")
        weight = weight_of(job.command)
        if self._open_jobs >= self._limits.open_jobs:
            raise Busy(f"{self._open_jobs} commands are waiting or running on this agent")
        if self._open_jobs and self._open_bytes + weight > self._limits.open_bytes:
            raise Busy("the commands that wait on this agent hold too much memory")
        self._open(job)

    def _open(self, job: Job) -> None:
        assert self._tasks is not None
        self._open_jobs += 1
        self._open_bytes += weight_of(job.command)
        self._idle.clear()
        if isinstance(job.command, CHANGING_COMMANDS):
            self._changing[job.job_id.value] = job
        project = project_of(job.command)
        if project is None:
            self._tasks.create_task(self._carry_out(job), name=f"job-{job.job_id}")
            return
        lane = self._lanes.get(project.compose_name)
        if lane is not None:
            lane.append(job)
            return
        self._lanes[project.compose_name] = deque([job])
        self._tasks.create_task(
            self._work_lane(project.compose_name), name=f"project-{project.compose_name}"
        )

    async def _work_lane(self, compose_name: str) -> None:
        lane = self._lanes[compose_name]
        while lane:
            async with self._turns:
                # Draining may have emptied the lane while this waited for its turn.
                if lane:
                    await self._carry_out(lane.popleft())
        del self._lanes[compose_name]

    async def _carry_out(self, job: Job) -> None:
        job.move_to(JobState.RUNNING)
        job_id, command_name = job.job_id.value, type(job.command).__name__
        self._log(job, "job %s: %s starts", job_id, command_name)
        event: FinalEvent
        why = ""
        try:
            outcome = await self._handle(job.command)
            if isinstance(outcome, Completed):
                job.move_to(JobState.SUCCEEDED)
                event = JobCompleted(job_id, outcome.logs, outcome.data)
            else:
                job.move_to(JobState.FAILED)
                event = JobFailed(job_id, outcome.error, outcome.logs, outcome.data)
                why = outcome.what  # The error quotes Compose, which may quote the compose file.
        except asyncio.CancelledError:
            job.move_to(JobState.CANCELED)
            self._close(job, JobFailed(job_id, INTERRUPTED, data={"reason": "interrupted"}))
            raise
        except InstaDeployError as exc:
            job.move_to(JobState.FAILED)
            event = refusal_of(job_id, exc)
        except Exception:
            logger.exception("job %s: %s broke; this is a bug", job_id, command_name)
            job.move_to(JobState.FAILED)
            event = JobFailed(
                job_id,
                "the agent failed to carry this out because of an internal error; its log says more",
                data={"reason": InstaDeployError.code},
            )
        self._close(job, event, why=why)

    async def _handle(self, command: Command) -> Outcome:
        return await self._handlers[type(command)](command)

    def _close(self, job: Job, event: FinalEvent, *, why: str = "") -> None:
        self._open_jobs -= 1
        self._open_bytes -= weight_of(job.command)
        if isinstance(job.command, CHANGING_COMMANDS):
            self._changing.pop(job.job_id.value, None)
        if self._open_jobs == 0:
            self._idle.set()
        if isinstance(event, JobFailed):
            logger.warning("job %s: %s: %s", event.job_id, job.state, why or event.error)
        else:
            self._log(job, "job %s: %s", event.job_id, job.state)
        self._emit(event)

    @staticmethod
    def _log(job: Job, text: str, *values: str) -> None:
        """Reads may come by the thousand, and what changes nothing is no news."""
        is_news = isinstance(job.command, CHANGING_COMMANDS)
        logger.log(logging.INFO if is_news else logging.DEBUG, text, *values)
