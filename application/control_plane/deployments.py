"""Deployments: what was wished for, and what has become of it on each host."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from application.control_plane.jobs import Jobs
from application.control_plane.paging import pages_of
from application.control_plane.payloads import Payloads
from application.control_plane.submitting import AcceptedDeployment, Submitting, Terms
from application.ports.job_store import JobQuery, JobStore
from domain.commands import DeployCompose
from domain.errors import Conflict, NotFound
from domain.fleet.access import EVERYWHERE, Permission, Principal, Reach
from domain.fleet.deployment import Deployment, DeploymentState, outcome_of
from domain.fleet.job import DeploymentId, FleetJob, FleetJobState, is_over
from domain.fleet.labels import Selector
from domain.fleet.page import MAX_PAGE, Page, PageRequest

CANCELED_AT_ONCE: Final = 64
_OPEN: Final = frozenset(state for state in FleetJobState if not is_over(state))


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A deployment, and how many of its jobs are in each state."""

    deployment: Deployment
    tally: Mapping[FleetJobState, int]
    is_whole: bool = True
    """Whether all of its hosts may be named."""

    @property
    def state(self) -> DeploymentState:
        """What the states of its jobs amount to."""
        return outcome_of(self.tally)


class Deployments:
    """Reading, repeating and canceling deployments."""

    def __init__(
        self, *, store: JobStore, submitting: Submitting, payloads: Payloads, jobs: Jobs
    ) -> None:
        self._store = store
        self._submitting = submitting
        self._payloads = payloads
        self._jobs = jobs

    async def list(
        self, project: str | None, page: PageRequest, within: Reach = EVERYWHERE
    ) -> Page[DeploymentView]:
        """The newest first; of one project, where it is given.

        Here and below, of a deployment to several hosts there is only what is of hosts in reach.
        """
        found = await self._store.deployments(project, page, within)
        tallies = await self._store.tallies([one.id for one in found.items], within)
        return Page(
            [
                DeploymentView(one, tallies.get(one.id, {}), within.is_everywhere)
                for one in found.items
            ],
            found.next,
        )

    async def show(
        self, deployment_id: str, within: Reach = EVERYWHERE
    ) -> tuple[DeploymentView, Page[FleetJob]]:
        """With the first page of its jobs, the newest first. Raises `NotFound`."""
        deployment = await self._store.deployment(DeploymentId(deployment_id))
        tallies = await self._store.tallies([deployment.id], within)
        jobs = await self._store.jobs(
            JobQuery(deployment_id=deployment.id, within=within), PageRequest()
        )
        return (
            DeploymentView(deployment, tallies.get(deployment.id, {}), within.is_everywhere),
            jobs,
        )

    async def redeploy(
        self, deployment_id: str, selector: Selector | None, terms: Terms
    ) -> AcceptedDeployment:
        """The same content again, as a new deployment; to the same hosts, unless others are named.

        Where hosts were named, these are meant, whatever they are called now, and whatever has their
        names. Raises `NotFound`, and `Conflict` where the content is not kept any more.
        """
        deployment = await self._store.deployment(DeploymentId(deployment_id))
        command = await self._content_of(deployment)
        if selector is not None:
            return await self._submitting.deploy(
                selector, command, terms, redeploy_of=deployment.id
            )
        try:
            return await self._submitting.deploy(
                deployment.selector,
                command,
                terms,
                redeploy_of=deployment.id,
                meant=await self._same_hosts(deployment),
            )
        except NotFound as exc:
            # Which they are is not everybody's to know.
            raise NotFound(
                f"not all hosts of deployment {deployment.id} are there, and in your reach: say to "
                "which hosts"
            ) from exc

    async def _same_hosts(self, deployment: Deployment) -> Selector:
        if not deployment.selector.hosts:
            return deployment.selector
        jobs = await self._store.jobs_of(deployment.id)
        return Selector.naming(job.host_id for job in jobs)

    async def content(self, deployment_id: str) -> DeployCompose:
        """What it brought. Raises `NotFound`, and `Conflict` where that is not kept any more."""
        return await self._content_of(await self._store.deployment(DeploymentId(deployment_id)))

    async def cancel(
        self, deployment_id: str, by: Principal
    ) -> tuple[DeploymentView, Page[FleetJob]]:
        """End those of its jobs that are not over, as far as their agents can. Raises `NotFound`."""
        deployment = await self._store.deployment(DeploymentId(deployment_id))
        open_ones = JobQuery(
            deployment_id=deployment.id,
            states=_OPEN,
            within=by.reach(Permission.DEPLOYMENTS_WRITE),
        )
        async with aclosing(self._pages(open_ones, CANCELED_AT_ONCE)) as pages:
            async for jobs in pages:
                await self._cancel_all(jobs, by)
        return await self.show(deployment.id, by.reach(Permission.DEPLOYMENTS_READ))

    async def _cancel_all(self, jobs: Sequence[FleetJob], by: Principal) -> None:
        async def cancel(job: FleetJob) -> None:
            # An agent that speaks v1 and has it carries it through.
            with contextlib.suppress(Conflict):
                await self._jobs.cancel(job.id, by)

        try:
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(cancel(job), name=f"cancel {job.id}")
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed

    async def _content_of(self, deployment: Deployment) -> DeployCompose:
        async with aclosing(self._pages(JobQuery(deployment_id=deployment.id))) as pages:
            async for jobs in pages:
                for job in jobs:
                    with contextlib.suppress(NotFound):
                        command = await self._payloads.command_of(job)
                        assert isinstance(command, DeployCompose)
                        return command
        raise Conflict(
            f"what deployment {deployment.id} brought is not kept any more; make a new deployment"
        )

    def _pages(
        self, query: JobQuery, at_once: int = MAX_PAGE
    ) -> AsyncGenerator[Sequence[FleetJob], None]:
        return pages_of(lambda page: self._store.jobs(query, page), at_once)


def tally_of(jobs: Sequence[FleetJob]) -> Mapping[FleetJobState, int]:
    """How many are in each state."""
    tally: dict[FleetJobState, int] = {}
    for job in jobs:
        tally[job.state] = tally.get(job.state, 0) + 1
    return tally
