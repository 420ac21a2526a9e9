"""How jobs and deployments are answered with: their hosts by name, and where they are found.

What was accepted is answered as accepted, whatever fails after that: who is told of a failure asks for
the same once more. Then the answer has what is known, without the names or the result.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from application.control_plane.deployments import DeploymentView, tally_of
from application.control_plane.submitting import AcceptedDeployment, AcceptedJob
from domain.errors import Busy, StorageUnavailable
from domain.fleet.access import Principal
from domain.fleet.host import HostId
from domain.fleet.job import FleetJob
from domain.fleet.page import Page
from entrypoints.control_plane.rest import views
from entrypoints.control_plane.rest.parts import API, Parts

logger = logging.getLogger(__name__)

REPEATED: Final = "Idempotent-Replayed"


async def shown(parts: Parts, job: FleetJob) -> views.Job:
    """One job, with its result where there is one."""
    names = await parts.hosts.names([job.host_id])
    result = await parts.jobs.result(job.id) if job.is_over else None
    return views.Job.of(job, names.get(job.host_id), result)


async def changed(parts: Parts, job: FleetJob) -> views.Job:
    """One job that the request has changed."""
    try:
        return await shown(parts, job)
    except StorageUnavailable as exc:
        logger.warning("job %s is answered without what cannot be read of it: %s", job.id, exc)
        return views.Job.of(job, None)


async def shown_all(parts: Parts, jobs: Sequence[FleetJob]) -> list[views.Job]:
    """Several jobs."""
    names = await parts.hosts.names(job.host_id for job in jobs)
    return [views.Job.of(job, names.get(job.host_id)) for job in jobs]


async def with_jobs(
    parts: Parts, view: DeploymentView, jobs: Page[FleetJob]
) -> views.DeploymentWithJobs:
    """A deployment, and those of its jobs that are to be shown with it."""
    names = await parts.hosts.names(job.host_id for job in jobs.items)
    return views.DeploymentWithJobs.with_jobs(view, jobs, names)


async def changed_with_jobs(
    parts: Parts, view: DeploymentView, jobs: Page[FleetJob]
) -> views.DeploymentWithJobs:
    """A deployment that the request has made or changed, and jobs of it."""
    names = await _names_if_they_can_be_read(parts, (job.host_id for job in jobs.items))
    return views.DeploymentWithJobs.with_jobs(view, jobs, names)


async def accepted_job(
    parts: Parts, accepted: AcceptedJob, wait_s: int, by: Principal, response: Response
) -> views.Job:
    """202 with the job, or where that is preferred and it ends in time, 200 with the finished one."""
    job = accepted.job
    response.headers["Location"] = f"{API}/jobs/{job.id}"
    if accepted.is_repeat:
        response.headers[REPEATED] = "true"
    if not wait_s:
        return await changed(parts, job)
    try:
        job = await _waited_for(parts, job.id, wait_s, by)
        view = await shown(parts, job)
    except (Busy, StorageUnavailable) as exc:
        logger.warning("nobody waits for job %s, which was accepted: %s", job.id, exc)
        return views.Job.of(accepted.job, None)
    response.headers["Preference-Applied"] = f"wait={wait_s}"
    if job.is_over:
        response.status_code = HTTPStatus.OK
    return view


async def _waited_for(parts: Parts, job_id: str, wait_s: int, by: Principal) -> FleetJob:
    """The job when it is over, or as it is when nobody waits any more."""
    with parts.sessions.opened(by) as session:
        over = asyncio.create_task(parts.following.until_over(job_id, wait_s), name="end of job")
        ended = asyncio.create_task(session.ended.wait(), name="end of session")
        try:
            await asyncio.wait([over, ended], return_when=asyncio.FIRST_COMPLETED)
            return await over if over.done() else await parts.jobs.show(job_id)
        finally:
            over.cancel()
            ended.cancel()
            await asyncio.gather(over, ended, return_exceptions=True)


async def accepted_deployment(
    parts: Parts, accepted: AcceptedDeployment, response: Response
) -> views.DeploymentWithJobs:
    """202 with the deployment, and all of its jobs: whoever has made them has to know them."""
    response.headers["Location"] = f"{API}/deployments/{accepted.deployment.id}"
    if accepted.is_repeat:
        response.headers[REPEATED] = "true"
    view = DeploymentView(accepted.deployment, tally_of(accepted.jobs), accepted.is_whole)
    return await changed_with_jobs(parts, view, Page(accepted.jobs))


async def _names_if_they_can_be_read(
    parts: Parts, host_ids: Iterable[HostId]
) -> Mapping[HostId, str]:
    try:
        return await parts.hosts.names(host_ids)
    except StorageUnavailable as exc:
        logger.warning("jobs are answered without the names of their hosts: %s", exc)
        return {}
