"""What the audit trail says of jobs, from the request to the end, and of machines that become hosts."""

from __future__ import annotations

from collections.abc import Iterable

from domain.commands import (
    CHANGING_COMMANDS,
    CHANGING_KINDS,
    COMMAND_NAMES,
    Command,
    DeployCompose,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
)
from domain.fleet.access import Principal
from domain.fleet.audit import ACCEPTED, Noted, noted_by
from domain.fleet.host import Enrolment, Host
from domain.fleet.job import FleetJob


def accepted_noted(
    by: Principal, command: Command, asked: Iterable[tuple[FleetJob, Host]]
) -> tuple[Noted, ...]:
    """That jobs for these hosts are to carry a command out; nothing of one that only asks."""
    if not isinstance(command, CHANGING_COMMANDS):
        return ()
    action = COMMAND_NAMES[type(command)].partition("_")[0].lower()
    detail = _detail_of(command)
    return tuple(
        noted_by(
            by,
            job.created_at,
            action,
            outcome=ACCEPTED,
            host_id=host.id,
            host=host.name.value,
            project=job.project or "",
            job_id=job.id,
            deployment_id=job.deployment_id or "",
            detail=detail,
        )
        for job, host in asked
    )


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


def _detail_of(command: Command) -> dict[str, object]:
    match command:
        case DeployCompose():
            return {"digest": command.content.digest}
        case RemoveCompose():
            return {"volumes": command.volumes}
        case RollbackCompose():
            return {"revision": command.revision}
        case RestartCompose():
            return {"services": list(command.services)}
        case _:
            return {}
