"""How far jobs have come, of one host or of many, by what their feed tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from application.operator.lines import Lines
from domain.fleet.job import FleetJobState, is_over

CUT = "[more was printed, which is not kept]"


@dataclass(frozen=True, slots=True)
class Said:
    """Something to be told at once: a line that was printed, or with an empty `step` a new state."""

    job_id: str
    step: str
    text: str


@dataclass(slots=True)
class JobProgress:
    """One job. Moments are seconds since 1970, None for what has not happened."""

    job_id: str
    host: str
    state: str = FleetJobState.QUEUED.value
    step: str = ""
    last_line: str = ""
    begun_at: float | None = None
    ended_at: float | None = None
    _lines: dict[tuple[str, int], Lines] = field(default_factory=dict, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return is_end(self.state)

    def seconds(self, now: float) -> float | None:
        """How long it has taken so far, or in all; None before it has begun."""
        if self.begun_at is None:
            return None
        return max(0.0, (now if self.ended_at is None else self.ended_at) - self.begun_at)

    def changed(self, state: str, at: float) -> list[Said]:
        """It is in another state."""
        if state == self.state and state == FleetJobState.QUEUED.value:
            return []
        self.state = state
        if state == FleetJobState.QUEUED.value:
            return []
        if self.begun_at is None:
            self.begun_at = at
        said = []
        if self.is_over:
            self.ended_at = at
            said = self._flush()
        return [*said, Said(self.job_id, "", state)]

    def printed(self, step: str, attempt: int, offset: int, content: bytes) -> list[Said]:
        """A piece of output; the lines that it completes."""
        self.step = step
        lines = self._lines.setdefault((step, attempt), Lines())
        return self._told(step, lines.feed(content, offset))

    def cut(self, step: str) -> list[Said]:
        """Nothing of its output is kept from here on."""
        return self._told(step, [CUT])

    def _flush(self) -> list[Said]:
        said = []
        for (step, _), lines in self._lines.items():
            said += self._told(step, lines.end())
        self._lines.clear()
        return said

    def _told(self, step: str, lines: Iterable[str]) -> list[Said]:
        said = [Said(self.job_id, step, line) for line in lines]
        self.last_line = next(
            (one.text for one in reversed(said) if one.text.strip()), self.last_line
        )
        return said


class Progress:
    """All jobs that are followed together, in the order in which they were named."""

    def __init__(self, jobs: Iterable[tuple[str, str]]) -> None:
        """The ids of jobs, each with the name of its host."""
        self.jobs = {job_id: JobProgress(job_id, host) for job_id, host in jobs}

    def job(self, job_id: str) -> JobProgress:
        """One of them; one that was not named is one more, on a host that is not known."""
        return self.jobs.setdefault(job_id, JobProgress(job_id, job_id))

    @property
    def tally(self) -> dict[str, int]:
        """How many are in which state."""
        counts: dict[str, int] = {}
        for job in self.jobs.values():
            counts[job.state] = counts.get(job.state, 0) + 1
        return counts


def is_end(state: str) -> bool:
    """Whether a job that is in this state stays there. A state of a later version does not count."""
    try:
        return is_over(FleetJobState(state))
    except ValueError:
        return False
