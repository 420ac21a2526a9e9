"""What is left when a simulation is over, and what the journal ever said of each job."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from domain.commands import CHANGING_COMMANDS
from domain.records import (
    CancelRequested,
    JobAccepted,
    JobFinished,
    StepExit,
    StepExited,
    StepStarting,
)
from tests.simulation.database import Database
from tests.simulation.host import SimulatedHost
from tests.simulation.orders import Submission
from tests.simulation.watched_journal import History


@dataclass(slots=True)
class Findings:
    """What is left of a simulation."""

    mode: str
    history: History
    host: SimulatedHost
    database: Database
    is_restored: bool
    wishes: list[Submission]
    counts: Counter[str]


@dataclass(slots=True)
class FoundJob:
    """What the journal ever said of a job that changes something."""

    accepted: JobAccepted
    place: int
    starts: list[tuple[float, StepStarting]] = field(default_factory=list)
    exits: dict[tuple[str, int], tuple[float, StepExit | None]] = field(default_factory=dict)
    ends: list[JobFinished] = field(default_factory=list)
    is_cancel_requested: bool = False

    @property
    def project(self) -> str:
        return self.accepted.project


def jobs_of(history: History) -> dict[str, FoundJob]:
    """By id, those that change something."""
    jobs: dict[str, FoundJob] = {}
    for at, fact in history.facts:
        if isinstance(fact, JobAccepted):
            if isinstance(fact.command, CHANGING_COMMANDS):
                jobs.setdefault(fact.job_id, FoundJob(fact, len(jobs)))
            continue
        job = jobs.get(getattr(fact, "job_id", ""))
        if job is None:
            continue
        match fact:
            case StepStarting():
                job.starts.append((at, fact))
            case StepExited():
                job.exits[fact.step, fact.attempt] = (at, fact.exit)
            case JobFinished():
                job.ends.append(fact)
            case CancelRequested():
                job.is_cancel_requested = True
            case _:
                pass
    return jobs


def count(found: Findings, jobs: dict[str, FoundJob]) -> None:
    """Add up what there was of everything."""
    counts = found.counts
    counts["jobs"] += len(jobs)
    counts["reads"] += len(found.history.accepted) - len(jobs)
    counts["runs"] += len(found.host.history)
    for job in jobs.values():
        for end in job.ends:
            counts[f"jobs {end.state}"] += 1
            if reason := end.data.get("reason"):
                counts[f"jobs {end.state}: {reason}"] += 1
            for stage in _stages(end):
                counts[f"stage {stage['step']} {stage['state']}"] += 1
            counts["went back"] += "rolled_back_to" in end.data
            counts["going back failed"] += "rollback_failed" in end.data
        counts["steps tried again"] += sum(start.attempt > 1 for _, start in job.starts)
    for order in found.database.orders.values():
        for reason in order.rejections.values():
            counts[f"rejected: {reason}"] += 1
    counts.update(found.host.disk.counts)


def _stages(end: JobFinished) -> list[dict[str, object]]:
    steps = end.data.get("steps", [])
    assert isinstance(steps, list)
    return steps
