"""A job: one command tracked on one agent, from acceptance to its one terminal state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.commands import Command
from domain.errors import LocalProtocolViolation
from domain.validation import check_job_id


@dataclass(frozen=True, slots=True)
class JobId:
    """A valid job id, chosen by the control plane."""

    value: str

    def __post_init__(self) -> None:
        check_job_id(self.value)

    def __str__(self) -> str:
        return self.value


class JobState(StrEnum):
    """Where a job is. The last five are terminal."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    """Its deadline passed before it was begun."""
    SUPERSEDED = "superseded"
    """A newer deployment of its project was accepted before it was begun."""


_ENDS_OF_A_RUN: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED})

TRANSITIONS: Final[dict[JobState, frozenset[JobState]]] = {
    JobState.ACCEPTED: frozenset(
        {JobState.RUNNING, JobState.CANCELED, JobState.EXPIRED, JobState.SUPERSEDED}
    ),
    JobState.RUNNING: _ENDS_OF_A_RUN | {JobState.CANCELING},
    JobState.CANCELING: _ENDS_OF_A_RUN,
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELED: frozenset(),
    JobState.EXPIRED: frozenset(),
    JobState.SUPERSEDED: frozenset(),
}
"""The only place where it is said which state may follow which."""


def is_terminal(state: JobState) -> bool:
    """Whether a job that is there stays there."""
    return not TRANSITIONS[state]


@dataclass(slots=True, eq=False)
class Job:
    """One command and its state."""

    job_id: JobId
    command: Command
    state: JobState = JobState.ACCEPTED
    is_journalled: bool = False
    """Whether it outlives the agent."""
    is_sequenced: bool = False
    """Whether it came over protocol v2."""
    is_private: bool = False
    """Whether its command has private parts, which lie elsewhere until it runs."""
    is_recovered: bool = False
    """Whether it was accepted in an earlier life of the agent."""
    deadline: float | None = None
    """Seconds since boot at which it has to be over."""

    @property
    def is_over(self) -> bool:
        """Whether the state is terminal; it never changes again then."""
        return is_terminal(self.state)

    def move_to(self, state: JobState) -> None:
        """Change state, or raise `LocalProtocolViolation` where the table does not allow it."""
        if state not in TRANSITIONS[self.state]:
            raise LocalProtocolViolation(
                f"job {self.job_id.value!r} cannot go from {self.state} to {state}"
            )
        self.state = state
