"""What the audit trail says of jobs: what has become of those that were to change something."""

from __future__ import annotations

from domain.commands import CHANGING_KINDS
from domain.fleet.audit import Noted
from domain.fleet.job import FleetJob


def end_noted(job: FleetJob, at: float) -> Noted | None:
    """That a job is over; None of one that only asked."""
    if job.kind not in CHANGING_KINDS:
        return None
    return Noted(
        at=at,
        user=job.requested_by,
        action="job.end",
        outcome=job.state.value,
        host_id=job.host_id,
        project=job.project or "",
        job_id=job.id,
        deployment_id=job.deployment_id or "",
        detail={"reason": job.reason} if job.reason else {},
    )
