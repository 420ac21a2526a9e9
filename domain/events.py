"""The facts an agent reports. `job_id` is the text the peer gave, echoed exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.errors import InstaDeployError, InvalidInput

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
    data: dict[str, object] = {"reason": error.code}
    if isinstance(error, InvalidInput):
        data["field"] = error.field
    return JobFailed(job_id, str(error), data=data)
