"""The facts an agent reports. `job_id` is the text the peer gave, echoed exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
