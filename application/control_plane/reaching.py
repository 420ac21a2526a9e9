"""Whether somebody may do something to what a request names: before anything is done about it.

What is not theirs to see is answered as what is not there, in the same words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from application.control_plane.paging import pages_of
from application.ports.host_directory import HostDirectory
from application.ports.job_store import JobQuery, JobStore
from domain.errors import NotFound, NotPermitted
from domain.fleet.access import Permission, Principal
from domain.fleet.host import Enrolment, HostId
from domain.fleet.job import DeploymentId
from domain.fleet.labels import NO_LABELS, Labels
from domain.fleet.missing import no_deployment, no_enrolment, no_host, no_job
from domain.fleet.page import PageRequest


class Reaching:
    """Each method returns where it may be done, raises `NotFound` and `NotPermitted` otherwise."""

    def __init__(self, *, directory: HostDirectory, store: JobStore) -> None:
        self._directory = directory
        self._store = store

    async def host(self, name_or_id: str, by: Principal, permission: Permission) -> HostId:
        """Of a host; returns its id, which is no other host's whatever is renamed meanwhile."""
        host = await self._directory.named(name_or_id)
        self._judge(host.labels, by, permission, Permission.HOSTS_READ, lambda: no_host(name_or_id))
        return host.id

    async def job(self, job_id: str, by: Principal, permission: Permission) -> None:
        """Of a job: of the host that it is for."""
        job = await self._store.job(job_id)
        host = await self._directory.host(job.host_id)
        self._judge(
            host.labels,
            by,
            permission,
            Permission.JOBS_READ,
            lambda: no_job(job_id),
        )

    async def deployment(self, deployment_id: str, by: Principal, permission: Permission) -> None:
        """Of a deployment: of one of its hosts at least."""
        of_it = DeploymentId(deployment_id)
        await self._store.deployment(of_it)
        for wanted, raised in (
            (Permission.DEPLOYMENTS_READ, no_deployment(of_it)),
            (permission, not_permitted(permission)),
        ):
            query = JobQuery(deployment_id=of_it, within=by.reach(wanted))
            if not (await self._store.jobs(query, PageRequest(1))).items:
                raise raised

    async def enrolment(self, enrolment_id: str, by: Principal, permission: Permission) -> None:
        """Of an enrolment: of the host that it is to become."""
        async for enrolments in pages_of(self._directory.enrolments):
            for one in enrolments:
                if one.id == enrolment_id:
                    self._judge(
                        one.labels,
                        by,
                        permission,
                        Permission.ENROLMENTS_READ,
                        lambda: no_enrolment(enrolment_id),
                    )
                    return
        raise no_enrolment(enrolment_id)

    def _judge(
        self,
        labels: Labels,
        by: Principal,
        permission: Permission,
        seeing: Permission,
        unknown: Callable[[], NotFound],
    ) -> None:
        if by.reach(permission).covers(labels):
            return
        if not by.reach(seeing).covers(labels):
            raise unknown()
        raise not_permitted(permission)


def not_permitted(permission: Permission) -> NotPermitted:
    """What somebody is told who may see what they may not do that to."""
    return NotPermitted(f"this needs the permission {permission.value}")


def check_labels(
    labels: Labels, by: Principal, permission: Permission, had: Labels = NO_LABELS
) -> None:
    """Raise `NotPermitted` where these are not labels that they may give a host.

    It has to stay in their reach. And as labels decide who deploys to a host, and so what it gets to
    see, nobody adds one that is not of their own grants, unless they may do it to every host.
    """
    reach = by.reach(permission)
    if reach.is_everywhere:
        return
    if not reach.covers(labels):
        raise NotPermitted(
            f"labels: a host with these would be out of your reach for {permission.value}"
        )
    own = {pair for each in reach.alternatives for pair in each.pairs}
    for key, value in labels.pairs:
        if (key, value) not in own and (key, value) not in had.pairs:
            raise NotPermitted(
                f"labels.{key}: only who has {permission.value} for all hosts may add {value!r}"
            )


def is_in_reach(enrolment: Enrolment, by: Principal) -> bool:
    """Whether somebody may see an enrolment."""
    return by.reach(Permission.ENROLMENTS_READ).covers(enrolment.labels)


Judge = Callable[[str, Principal, Permission], Awaitable[object]]
