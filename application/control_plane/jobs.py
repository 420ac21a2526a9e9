"""Jobs as operators read and cancel them, and the history of a project on a host."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from application.control_plane.happenings import Happenings
from application.control_plane.live_hosts import HostLinks
from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.host_directory import HostDirectory
from application.ports.job_store import JobQuery, JobStore
from domain.commands import CHANGING_KINDS
from domain.errors import Conflict
from domain.fleet.abilities import protocol_of
from domain.fleet.access import EVERYWHERE, Principal, Reach
from domain.fleet.audit import ACCEPTED, noted_by
from domain.fleet.host import HostId
from domain.fleet.job import DeploymentId, FleetJob, FleetJobState, JobResult
from domain.fleet.missing import no_deployment, no_host
from domain.fleet.page import Page, PageRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are meant: those for which all that is given holds. `host` is a name or an id."""

    host: str | None = None
    project: str | None = None
    as_spelled: bool = False
    """Not of a project that is the same one to Compose, and that the host refuses beside this one."""
    deployment_id: str | None = None
    states: AbstractSet[FleetJobState] = frozenset()
    kinds: AbstractSet[str] = frozenset()
    within: Reach = EVERYWHERE


class Jobs:
    """Reading jobs, and ending them."""

    def __init__(
        self,
        *,
        directory: HostDirectory,
        store: JobStore,
        links: HostLinks,
        happenings: Happenings,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._store = store
        self._links = links
        self._happenings = happenings
        self._clock = clock

    async def list(self, wanted: JobFilter, page: PageRequest) -> Page[FleetJob]:
        """The newest first. Raises `NotFound` for a host or a deployment that is none, or out of reach."""
        host = None if wanted.host is None else await self._directory.named(wanted.host)
        if host is not None and not wanted.within.covers(host.labels):
            raise no_host(wanted.host or "")
        query = JobQuery(
            host_id=None if host is None else host.id,
            project=wanted.project,
            as_spelled=wanted.as_spelled,
            deployment_id=None
            if wanted.deployment_id is None
            else DeploymentId(wanted.deployment_id),
            states=frozenset(wanted.states),
            kinds=frozenset(wanted.kinds),
            within=wanted.within,
        )
        if query.deployment_id is not None:
            of_it = JobQuery(deployment_id=query.deployment_id, within=query.within)
            await self._store.deployment(query.deployment_id)
            if not (await self._store.jobs(of_it, PageRequest(1))).items:
                raise no_deployment(query.deployment_id)
        return await self._store.jobs(query, page)

    async def history(self, host: str, project: str, page: PageRequest) -> Page[FleetJob]:
        """What was to change a project on a host, the newest first. Raises `NotFound`."""
        wanted = JobFilter(host=host, project=project, as_spelled=True, kinds=CHANGING_KINDS)
        return await self.list(wanted, page)

    async def show(self, job_id: str) -> FleetJob:
        """Raises `NotFound`."""
        return await self._store.job(job_id)

    async def result(self, job_id: str) -> JobResult | None:
        """What the agent said at the end; None where it has said nothing. Raises `NotFound`."""
        await self._store.job(job_id)
        return await self._store.result(job_id)

    async def cancel(self, job_id: str, by: Principal) -> FleetJob:
        """End a job. One that is over, or is being ended, is left as it is.

        Raises `NotFound`, and `Conflict` for one that cannot be ended any more.
        """
        job = await self._store.job(job_id)
        if job.is_over:
            return job
        if job.sent_at is not None and job.seq is None and await self._is_of_v1(job.host_id):
            raise Conflict(
                f"job {job_id} was sent to an agent that speaks protocol v1, which cannot cancel"
            )
        now = seconds_now(self._clock)
        noted = noted_by(
            by,
            now,
            "job.cancel",
            outcome=ACCEPTED,
            host_id=job.host_id,
            project=job.project or "",
            job_id=job.id,
            deployment_id=job.deployment_id or "",
        )
        job = await self._store.request_cancel(job_id, now, noted)
        self._happenings.tell([job_id])
        self._links.wake(job.host_id)
        return job

    async def _is_of_v1(self, host_id: HostId) -> bool:
        """Whether its agent is known to speak v1. Jobs lose their numbers over v2 too, for a while."""
        host = await self._directory.host(host_id)
        report = self._links.report_of(host_id) or host.report
        return protocol_of(replace(host, report=report)) == 1
