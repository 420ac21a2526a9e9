"""What the records of a journal amount to for one job."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.commands import CHANGING_COMMANDS
from domain.job import JobState
from domain.records import JobAccepted, JobFinished, ProcessIdentity, StepExit


@dataclass(slots=True)
class Attempt:
    """One start of an executor for a step. While it is not over, `exit` says nothing."""

    step: str
    number: int
    token: str
    boot_id: str
    process: ProcessIdentity | None = None
    is_over: bool = False
    exit: StepExit | None = None
    """None, once it is over, where it was interrupted."""


@dataclass(slots=True)
class LedgerJob:
    """A job that is open, or whose result is still kept."""

    accepted: JobAccepted
    attempts: list[Attempt] = field(default_factory=list)
    is_cancel_requested: bool = False
    finished: JobFinished | None = None
    is_delivered: bool = False
    result_seq: int = 0
    """The number under which a peer was last told the result; 0 where there was none."""

    @property
    def job_id(self) -> str:
        """Its id."""
        return self.accepted.job_id

    @property
    def changes(self) -> bool:
        """Whether its command changes something, so that its id is taken for ever."""
        command = self.accepted.command
        return command is None or isinstance(command, CHANGING_COMMANDS)

    @property
    def state(self) -> JobState:
        """Where it is, as far as the records tell."""
        if self.finished is not None:
            return self.finished.state
        if not self.attempts:
            return JobState.ACCEPTED
        return JobState.CANCELING if self.is_cancel_requested else JobState.RUNNING

    def attempts_at(self, step: str) -> list[Attempt]:
        """The attempts at one step, oldest first."""
        return [attempt for attempt in self.attempts if attempt.step == step]
