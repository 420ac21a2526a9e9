"""What a command handler is, and what it reports."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from application.ports.clock import Clock
from domain.events import FinalEvent, JobCompleted, JobFailed
from domain.output import cause_of_failure

if TYPE_CHECKING:
    from application.agent.steps import JobSteps

T = TypeVar("T")
C_contra = TypeVar("C_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Completed:
    """The command did what was asked."""

    logs: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The command was carried out and did not succeed.

    `what` never holds content of a compose file and may be logged; `cause` is the output's own word
    and may not.
    """

    what: str
    cause: str = ""
    logs: str = ""
    data: Mapping[str, object] = field(default_factory=dict)

    @property
    def error(self) -> str:
        """Both, in a line or two."""
        return f"{self.what}: {self.cause}" if self.cause else self.what


Outcome = Completed | Failed


def final_event(job_id: str, outcome: Outcome) -> FinalEvent:
    """What is said of an outcome that is written down nowhere."""
    if isinstance(outcome, Failed):
        return JobFailed(job_id, outcome.error, outcome.logs, outcome.data)
    return JobCompleted(job_id, outcome.logs, outcome.data)


class Handler(Protocol[C_contra]):
    """Carries out one kind of command that changes nothing.

    An `InstaDeployError` that it raises is a refusal.
    """

    async def __call__(self, command: C_contra, /) -> Outcome:
        """Carry the command out; cancelled, it leaves no process behind."""
        ...


class JobHandler(Protocol[C_contra]):
    """Carries out one kind of command that changes something, in steps that are journalled.

    An agent that starts again calls it again, from its beginning: a step that is over gives what it
    gave before, and everything between two steps must be harmless a second time.
    """

    async def __call__(self, command: C_contra, steps: JobSteps, /) -> Outcome:
        """Carry the command out; cancelled, it leaves the step that runs alone."""
        ...


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The longest that each step of a job may take, in seconds."""

    check_s: float = 60.0
    deploy_s: float = 1800.0
    wait_s: float = 300.0
    """Until a project is healthy, where the deployment does not say."""
    settle_s: float = 2.0
    """How long a container without a health check has to run to be taken for well."""
    engine_s: float = 120.0
    """Until an engine that is down answers again, where the job has no deadline that is shorter."""
    stop_s: float = 300.0
    status_s: float = 30.0
    health_s: float = 5.0


class StepTimedOut(Exception):
    """A question passed its deadline and was ended; `str()` names both."""


async def run_step(clock: Clock, name: str, seconds: float, work: Awaitable[T]) -> T:
    """Await `work` for at most `seconds`; raises `StepTimedOut`, with what it started ended."""
    try:
        async with clock.timeout(seconds):
            return await work
    except TimeoutError as exc:
        raise StepTimedOut(f"{name} took longer than {seconds:g} s and was ended") from exc


def compose_failure(name: str, exit_code: int, output: str, *, consequence: str) -> Failed | None:
    """What to report of a run of Compose that is over; None where it succeeded."""
    if exit_code == 0:
        return None
    return Failed(
        f"{name} failed with exit code {exit_code}; {consequence}",
        cause=cause_of_failure(output),
        logs=output,
        data={"reason": "compose_failed", "exit_code": exit_code},
    )
