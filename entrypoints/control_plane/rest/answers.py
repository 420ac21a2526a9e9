"""How jobs and deployments are answered with: their hosts by name, and where they are found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from application.control_plane.deployments import DeploymentView, tally_of
from application.control_plane.submitting import AcceptedDeployment, AcceptedJob
from domain.fleet.access import Principal
from domain.fleet.job import FleetJob
from domain.fleet.page import Page
from entrypoints.control_plane.rest import views
from entrypoints.control_plane.rest.parts import API, Parts

REPEATED: Final = "Idempotent-Replayed"


async def shown(parts: Parts, job: FleetJob, *, with_result: bool = False) -> views.Job:
    """One job."""
    names = await parts.hosts.names([job.host_id])
    result = await parts.jobs.result(job.id) if with_result and job.is_over else None
    return views.Job.of(job, names.get(job.host_id), result)


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


async def accepted_job(
    parts: Parts, accepted: AcceptedJob, wait_s: int, by: Principal, response: Response
) -> views.Job:
    """202 with the job, or where that is preferred and it ends in time, 200 with the finished one."""
    job = accepted.job
    response.headers["Location"] = f"{API}/jobs/{job.id}"
    if accepted.is_repeat:
        response.headers[REPEATED] = "true"
    if wait_s:
        response.headers["Preference-Applied"] = f"wait={wait_s}"
        job = await _waited_for(parts, job.id, wait_s, by)
        if job.is_over:
            response.status_code = HTTPStatus.OK
    return await shown(parts, job, with_result=True)


async def _waited_for(parts: Parts, job_id: str, wait_s: int, by: Principal) -> FleetJob:
    """The job when it is over, or as it is when nobody waits any more."""
    with parts.sessions.opened(by.token_hash) as session:
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
    view = DeploymentView(accepted.deployment, tally_of(accepted.jobs))
    return await with_jobs(parts, view, Page(accepted.jobs))
