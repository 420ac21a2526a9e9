"""What the audit trail says of what no request does: jobs that end, machines that become hosts."""

from __future__ import annotations

from domain.commands import CHANGING_KINDS
from domain.fleet.audit import Noted
from domain.fleet.host import Enrolment, Host
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


def enrolled_noted(host: Host, enrolment: Enrolment, at: float, address: str) -> Noted:
    """That a machine at this address has become a host, by leave of whoever made the enrolment."""
    return Noted(
        at=at,
        user=enrolment.created_by,
        action="host.enrol",
        address=address,
        host_id=host.id,
        host=host.name.value,
        target=enrolment.id,
    )
