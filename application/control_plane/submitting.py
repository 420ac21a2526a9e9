"""Taking requests: one is in the database before anybody is told that it is accepted."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from application.control_plane.delivery_times import DeliveryTimes
from application.control_plane.happenings import Happenings
from application.control_plane.live_hosts import HostLinks
from application.control_plane.payloads import Payloads
from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.host_directory import HostDirectory
from application.ports.job_store import JobStore, Remembered, Submission, Submitted
from application.ports.randomness import Randomness
from domain.commands import (
    CHANGING_COMMANDS,
    Command,
    DeployCompose,
    PlanCompose,
    RollbackCompose,
    digest_of,
    project_of,
)
from domain.errors import InvalidInput, NotFound, NotPermitted
from domain.fleet.access import Permission, Principal
from domain.fleet.deployment import Deployment, summary_of
from domain.fleet.host import Host
from domain.fleet.job import (
    CHANGE_TTL_S,
    LONGEST_TTL_S,
    READ_TTL_S,
    DeploymentId,
    FleetJob,
    FleetJobState,
)
from domain.fleet.labels import Selector
from domain.fleet.noting import accepted_noted

logger = logging.getLogger(__name__)

MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Who asks, and under what conditions. Seconds, None for what is usual.

    `key` is the request's idempotency key: the same request under it is answered as before.
    """

    by: Principal
    ttl_s: float | None = None
    deadline_s: float | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        for name, seconds in (("ttl_s", self.ttl_s), ("deadline_s", self.deadline_s)):
            if seconds is not None and not 0 < seconds <= LONGEST_TTL_S:
                raise InvalidInput(name, f"must be over 0 and at most {LONGEST_TTL_S:g} seconds")


@dataclass(frozen=True, slots=True)
class UsualTtls:
    """How long commands wait for their hosts where the request does not say; seconds."""

    change_s: float = CHANGE_TTL_S
    read_s: float = READ_TTL_S


@dataclass(frozen=True, slots=True)
class Notice:
    """Whom a new job has to be told to: the link of its host, who follows, and who measures."""

    links: HostLinks
    happenings: Happenings
    times: DeliveryTimes

    def of(self, submitted: Submitted, begun: float) -> None:
        """Say what has come of a submission that was begun at that moment of `times`."""
        self.times.submitted((job.id for job in submitted.jobs), begun)
        self.happenings.tell(submitted.superseded)
        for job in submitted.jobs:
            self.links.wake(job.host_id)


@dataclass(frozen=True, slots=True)
class AcceptedJob:
    """The job that came of a request; `is_repeat` says that the request had been accepted before."""

    job: FleetJob
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class AcceptedDeployment:
    """The deployment that came of a request, and its jobs."""

    deployment: Deployment
    jobs: Sequence[FleetJob] = field(default_factory=tuple)
    is_repeat: bool = False
    is_whole: bool = True
    """Whether these are all of its jobs, and all of its hosts may be named."""


class Submitting:
    """Makes jobs of commands, keeps them, and wakes the links of their hosts."""

    def __init__(
        self,
        *,
        directory: HostDirectory,
        store: JobStore,
        payloads: Payloads,
        notice: Notice,
        randomness: Randomness,
        clock: Clock,
        ttls: UsualTtls,
    ) -> None:
        self._directory = directory
        self._store = store
        self._payloads = payloads
        self._notice = notice
        self._randomness = randomness
        self._clock = clock
        self._ttls = ttls

    async def command(self, name_or_id: str, command: Command, terms: Terms) -> AcceptedJob:
        """One command to one host, which may be offline. `DeployCompose` goes by `deploy`.

        Raises `NotFound` for a host that is none, `Conflict` where the key belongs to another
        request.
        """
        host = await self._directory.named(name_or_id)
        command = asked_by(command, terms.by)
        job_id = self._randomness.new_id("job")
        kind, payload = self._payloads.sealed(command, job_id)
        job = self._job(job_id, host, kind, command, terms, None)
        submitted = await self._submit(
            Submission(
                jobs=(job,),
                payload=payload,
                remembered=_remembered(terms, _digest(command, terms, host.id), {"job": job_id}),
                noted=accepted_noted(terms.by, command, [(job, host)]),
            )
        )
        if submitted.answered_before is not None:
            known = _answer(submitted.answered_before)["job"]
            return AcceptedJob(await self._store.job(known), is_repeat=True)
        logger.info("job %s (%s) for host %s is kept, for %s", job_id, kind, host.id, terms.by.name)
        return AcceptedJob(submitted.jobs[0])

    async def deploy(
        self,
        selector: Selector,
        command: DeployCompose,
        terms: Terms,
        redeploy_of: DeploymentId | None = None,
        meant: Selector | None = None,
    ) -> AcceptedDeployment:
        """The same deployment to every host that is meant: one job each, all or none.

        `meant` says which these are, where `selector` only tells how they were named.

        Raises `NotFound` that names the hosts of which there is none, or none that they may see,
        `NotPermitted` where one is among them to which they may not deploy, `Conflict` where the key
        belongs to another request.
        """
        hosts = await self._directory.selected(
            meant or selector, terms.by.reach(Permission.HOSTS_READ)
        )
        _check_permitted(hosts, terms.by)
        command = replace(command, options=replace(command.options, requested_by=terms.by.name))
        deployment_id = DeploymentId(self._randomness.new_id("dep"))
        kind, payload = self._payloads.sealed(command, deployment_id)
        deployment = Deployment(
            id=deployment_id,
            project=command.project.value,
            selector=selector,
            digest=command.content.digest,
            created_at=seconds_now(self._clock),
            requested_by=terms.by.name,
            redeploy_of=redeploy_of,
            summary=summary_of(command),
        )
        digest = _digest(
            command, terms, [*selector.hosts, selector.labels.pairs], redeploy_of or ""
        )
        jobs = [
            self._job(self._randomness.new_id("job"), host, kind, command, terms, deployment_id)
            for host in hosts
        ]
        submitted = await self._submit(
            Submission(
                jobs=tuple(jobs),
                payload=payload,
                deployment=deployment,
                remembered=_remembered(terms, digest, {"deployment": deployment_id}),
                noted=accepted_noted(terms.by, command, zip(jobs, hosts, strict=True)),
            )
        )
        if submitted.answered_before is not None:
            seen = terms.by.reach(Permission.DEPLOYMENTS_READ)
            known = DeploymentId(_answer(submitted.answered_before)["deployment"])
            return AcceptedDeployment(
                await self._store.deployment(known),
                await self._store.jobs_of(known, seen),
                is_repeat=True,
                is_whole=seen.is_everywhere,
            )
        logger.info(
            "deployment %s of project %s to %d hosts is kept, for %s",
            deployment_id,
            deployment.project,
            len(submitted.jobs),
            terms.by.name,
        )
        return AcceptedDeployment(deployment, submitted.jobs)

    async def _submit(self, submission: Submission) -> Submitted:
        begun = self._notice.times.now()
        submitted = await self._store.submit(submission)
        if submitted.answered_before is None:
            self._notice.of(submitted, begun)
        return submitted

    def _job(
        self,
        job_id: str,
        host: Host,
        kind: str,
        command: Command,
        terms: Terms,
        deployment_id: DeploymentId | None,
    ) -> FleetJob:
        if host.is_revoked:
            raise NotFound(f"host {host.name.value!r} is revoked")
        now = seconds_now(self._clock)
        changes = isinstance(command, CHANGING_COMMANDS)
        usual = self._ttls.change_s if changes else self._ttls.read_s
        project = project_of(command)
        return FleetJob(
            id=job_id,
            host_id=host.id,
            kind=kind,
            project=None if project is None else project.value,
            state=FleetJobState.QUEUED,
            created_at=now,
            requested_by=terms.by.name,
            deployment_id=deployment_id,
            expires_at=now + (usual if terms.ttl_s is None else terms.ttl_s),
            deadline_s=terms.deadline_s,
        )


def _check_permitted(hosts: Sequence[Host], by: Principal) -> None:
    reach = by.reach(Permission.DEPLOYMENTS_WRITE)
    refused = [host.name.value for host in hosts if not reach.covers(host.labels)]
    if refused:
        raise NotPermitted(
            f"this needs the permission {Permission.DEPLOYMENTS_WRITE.value} for "
            f"{', '.join(refused[:MOST_NAMED])}" + (" and others" * (len(refused) > MOST_NAMED))
        )


def asked_by(command: Command, by: Principal) -> Command:
    """The command with the name of who asks for it, where it has a place for one."""
    match command:
        case DeployCompose():
            return replace(command, options=replace(command.options, requested_by=by.name))
        case PlanCompose():
            deployment = asked_by(command.deployment, by)
            assert isinstance(deployment, DeployCompose)
            return PlanCompose(deployment)
        case RollbackCompose():
            return replace(command, requested_by=by.name)
        case _:
            return command


def _digest(command: Command, terms: Terms, *target: object) -> str:
    """What tells two requests under one key apart."""
    asked = [digest_of(command), terms.ttl_s, terms.deadline_s, *target]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _remembered(terms: Terms, digest: str, answer: dict[str, str]) -> Remembered | None:
    if terms.key is None:
        return None
    return Remembered(terms.key, terms.by.id, digest, json.dumps(answer))


def _answer(remembered: Remembered) -> dict[str, str]:
    answer: dict[str, str] = json.loads(remembered.answer)
    return answer
