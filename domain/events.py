"""The facts an agent reports. `job_id` is the text the peer gave, echoed exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.errors import InstaDeployError, InvalidInput
from domain.job import JobState
from domain.records import JobFinished

UNKNOWN_JOB = "unknown"
"""The job id that protocol v1 gives to a frame whose own id could not be read."""


@dataclass(frozen=True, slots=True)
class JobReceived:
    """A well-formed command has arrived; its final event follows, once."""

    job_id: str


@dataclass(frozen=True, slots=True)
class JobCompleted:
    """The job did what was asked. `data` is JSON-compatible, empty when there is none."""

    job_id: str
    logs: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The job did not do what was asked. `error` is the cause in a line or two."""

    job_id: str
    error: str
    logs: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


FinalEvent = JobCompleted | JobFailed
Event = JobReceived | FinalEvent


def refusal_of(job_id: str, error: InstaDeployError) -> JobFailed:
    """What is said to whoever sent a command that is not carried out, and why in a machine's words."""
    return JobFailed(job_id, str(error), data={"reason": error.code, **details_of(error)})


def details_of(error: InstaDeployError) -> dict[str, object]:
    """What a refusal says to programs beside its reason."""
    return {"field": error.field} if isinstance(error, InvalidInput) else {}


def result_of_tombstone(job_id: str, state: JobState) -> FinalEvent:
    """All that can be said of a job that ended long ago."""
    if state is JobState.SUCCEEDED:
        return JobCompleted(job_id, "This job succeeded before; its output is not kept any more.")
    return JobFailed(
        job_id,
        f"this job ended before, as {state.value}; more about it is not kept",
        data={"reason": "pruned", "state": state.value},
    )


def final_event_of(finished: JobFinished) -> FinalEvent:
    """A result as protocol v1 tells it, which knows no other end than these two."""
    if finished.state is JobState.SUCCEEDED:
        return JobCompleted(finished.job_id, finished.logs, finished.data)
    return JobFailed(finished.job_id, finished.error, finished.logs, finished.data)
