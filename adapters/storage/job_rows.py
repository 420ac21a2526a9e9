"""Jobs, results and entries of feeds as rows, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from adapters.storage.repeated import Repeated
from adapters.storage.tables import FEED, JOBS
from domain.commands import CHANGING_COMMANDS, COMMAND_NAMES
from domain.fleet.hearing import TrackedJob, state_entry
from domain.fleet.host import HostId
from domain.fleet.job import (
    DeploymentId,
    FeedEntry,
    FeedKind,
    FleetJob,
    FleetJobState,
    JobResult,
)
from domain.fleet.missing import no_job
from domain.link_messages import OutputPosition, StepOutput

T = TypeVar("T")

CHANGING: Final = frozenset(COMMAND_NAMES[command] for command in CHANGING_COMMANDS)
"""Names of the commands that change something on a host."""
MOST_VALUES: Final = 1000
"""So many values stand in one statement; databases have limits of their own, far above."""

NEW_JOB: Final = Repeated(insert(JOBS))
"""See `row_of`."""
NEW_ENTRY: Final = Repeated(insert(FEED))
"""See `feed_row`."""
NEW_STATE: Final = Repeated(
    update(JOBS)
    .where(JOBS.c.place == bindparam("of_place"))
    .values(
        {
            column: bindparam(f"new_{column}")
            for column in (
                "state",
                "seq",
                "generation",
                "sent_at",
                "accepted_at",
                "started_at",
                "finished_at",
                "cancel_requested_at",
                "reason",
                "error",
                "superseded_by",
            )
        }
    )
)
"""Whatever can change of a job, but for what is known of its output; see `new_state`."""

_JOB: Final = select(JOBS).where(JOBS.c.id == bindparam("of_id"))


def job_of(row: Row[Any]) -> FleetJob:
    """The job of a row of `JOBS`."""
    return FleetJob(
        id=row.id,
        host_id=HostId(row.host_id),
        kind=row.kind,
        project=row.project,
        state=FleetJobState(row.state),
        created_at=row.created_at,
        requested_by=row.requested_by,
        deployment_id=None if row.deployment_id is None else DeploymentId(row.deployment_id),
        expires_at=row.expires_at,
        deadline_s=row.deadline_s,
        generation=row.generation,
        seq=row.seq,
        sent_at=row.sent_at,
        accepted_at=row.accepted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        reason=row.reason,
        error=row.error,
        superseded_by=row.superseded_by,
    )


def row_of(job: FleetJob, place: int, payload: int, deployment: int | None) -> dict[str, object]:
    """The row of a job that is new."""
    return {
        "place": place,
        "id": job.id,
        "host_id": job.host_id,
        "kind": job.kind,
        "project": job.project,
        "project_key": key_of(job.project),
        "state": job.state,
        "created_at": job.created_at,
        "requested_by": job.requested_by,
        "deployment_id": job.deployment_id,
        "deployment": deployment,
        "expires_at": job.expires_at,
        "deadline_s": job.deadline_s,
        "generation": job.generation,
        "seq": job.seq,
        "sent_at": job.sent_at,
        "accepted_at": job.accepted_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "cancel_requested_at": job.cancel_requested_at,
        "reason": job.reason,
        "error": job.error,
        "superseded_by": job.superseded_by,
        "payload": payload,
        "awaits_result": False,
    }


def new_state(job: FleetJob, place: int) -> dict[str, object]:
    """The parameters of `NEW_STATE`."""
    return {
        "of_place": place,
        "new_state": job.state,
        "new_seq": job.seq,
        "new_generation": job.generation,
        "new_sent_at": job.sent_at,
        "new_accepted_at": job.accepted_at,
        "new_started_at": job.started_at,
        "new_finished_at": job.finished_at,
        "new_cancel_requested_at": job.cancel_requested_at,
        "new_reason": job.reason,
        "new_error": job.error,
        "new_superseded_by": job.superseded_by,
    }


def tracked_of(row: Row[Any]) -> TrackedJob:
    """A job as `Hearing` wants it, but for `printed`."""
    position = None
    if row.seen_step is not None:
        position = OutputPosition(row.seen_step, row.seen_attempt, row.seen_offset)
    return TrackedJob(job_of(row), row.awaits_result, position)


def feed_row(entry: FeedEntry, job: int, deployment: int | None) -> dict[str, object]:
    """The row of an entry, of the job at that place and its deployment."""
    return {
        "number": entry.number,
        "job": job,
        "deployment": deployment,
        "at": entry.at,
        "kind": entry.kind,
        "state": entry.state,
        "step": entry.step,
        "attempt": entry.attempt,
        "begins_at": entry.offset,
        "content": entry.content,
    }


def state_row(
    job: FleetJob, number: int, at: float, place: int, deployment: int | None
) -> dict[str, object]:
    """The row of an entry that says what state a job is in now."""
    return feed_row(state_entry(job, number, at), place, deployment)


def entry_of(row: Row[Any]) -> FeedEntry:
    """The entry of a row of `FEED`, with the `job_id` beside it."""
    return FeedEntry(
        number=row.number,
        job_id=row.job_id,
        at=row.at,
        kind=FeedKind(row.kind),
        state=None if row.state is None else FleetJobState(row.state),
        step=row.step,
        attempt=row.attempt,
        offset=row.begins_at,
        content=bytes(row.content),
    )


def result_row(result: JobResult, place: int) -> dict[str, object]:
    """The row of the result of the job at that place."""
    return {
        "job": place,
        "logs": result.logs,
        "error": result.error,
        "data": result.data,
        "output": [
            [one.step, one.attempt, one.exit_code, one.length, one.sha256, one.truncated]
            for one in result.output
        ],
    }


def result_of(row: Row[Any]) -> JobResult:
    """The result of a row of `RESULTS`."""
    output = tuple(StepOutput(*one) for one in row.output)
    return JobResult(row.logs, row.error, row.data, output)


def job_row(connection: Connection, job_id: str) -> Row[Any]:
    """The row of a job; raises `NotFound`."""
    row = connection.execute(_JOB, {"of_id": job_id}).one_or_none()
    if row is None:
        raise no_job(job_id)
    return row


def key_of(project: str | None) -> str | None:
    """Compose's name of a project."""
    return None if project is None else project.lower()


def by_values(values: Iterable[T]) -> Iterator[Sequence[T]]:
    """As many at once as a statement takes."""
    remaining = iter(values)
    while some := list(islice(remaining, MOST_VALUES)):
        yield some


FEED_COLUMNS: Final = (FEED, JOBS.c.id.label("job_id"))
"""What `entry_of` reads; of feed and jobs, joined."""
