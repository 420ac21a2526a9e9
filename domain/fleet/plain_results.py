"""What an agent of v1 says, in the words of v2: there, a job has more ends than two."""

from __future__ import annotations

from typing import Final

from domain.commands import (
    COMMAND_NAMES,
    CheckHealth,
    DeployCompose,
    GetStatus,
    ListProjects,
    ListRevisions,
    PlanCompose,
    StopCompose,
)
from domain.events import JobCompleted, JobFailed, JobReceived
from domain.job import JobState
from domain.link_messages import Accept, Result

NO_SEQ: Final = 0
"""Version 1 numbers nothing."""

CONVERGING: Final = frozenset(
    COMMAND_NAMES[command]
    for command in (
        DeployCompose,
        StopCompose,
        PlanCompose,
        GetStatus,
        ListProjects,
        ListRevisions,
        CheckHealth,
    )
)
"""Commands that may be carried out again by an agent that does not know that it has done so."""

QUESTIONS: Final = frozenset(
    COMMAND_NAMES[command]
    for command in (PlanCompose, GetStatus, ListProjects, ListRevisions, CheckHealth)
)

_OTHER_ENDS: Final = {
    state.value: state for state in (JobState.CANCELED, JobState.EXPIRED, JobState.SUPERSEDED)
}


def accept_of(event: JobReceived) -> Accept:
    """The agent has the job. It does not say when it begins."""
    return Accept(NO_SEQ, event.job_id, JobState.ACCEPTED)


def result_of(event: JobCompleted | JobFailed) -> Result:
    """The job is over; how is in `data.reason` where it failed."""
    if isinstance(event, JobCompleted):
        return Result(NO_SEQ, event.job_id, JobState.SUCCEEDED, event.logs, "", event.data)
    reason = event.data.get("reason")
    state = _OTHER_ENDS.get(reason) if isinstance(reason, str) else None
    state = state or JobState.FAILED
    return Result(NO_SEQ, event.job_id, state, event.logs, event.error, event.data)
