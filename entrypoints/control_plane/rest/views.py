"""What the API shows. Nothing here has content, variables or credentials; times are UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from application.control_plane.deployments import DeploymentView
from application.control_plane.hosts import HostView
from domain.fleet.abilities import Guarantee, protocol_of
from domain.fleet.deployment import DeploymentState
from domain.fleet.host import Enrolment as FleetEnrolment
from domain.fleet.host import HostId
from domain.fleet.job import Delivery, FleetJob, FleetJobState, JobResult
from domain.identity import fingerprint_of

T = TypeVar("T")

Moment = Annotated[datetime, Field(examples=["2026-01-31T12:00:00.000Z"])]


class PageOf(BaseModel, Generic[T]):
    """Part of a list."""

    items: list[T]
    next: str | None = Field(
        default=None, description="To be given as `after` for what follows; null at the end"
    )


class Enrolment(BaseModel):
    """Leave to become a host."""

    id: str = Field(examples=["enr_01JMZ3T5W8"])
    name: str = Field(examples=["web-1"])
    labels: dict[str, str]
    state: Literal["open", "used", "closed"] = Field(
        description="`closed`: withdrawn, or over its time"
    )
    created_at: Moment
    expires_at: Moment
    created_by: str
    used_at: Moment | None
    host_id: str | None = Field(description="The host that it became")

    @classmethod
    def of(cls, enrolment: FleetEnrolment, *, is_open: bool) -> Enrolment:
        """The view of an enrolment."""
        used = enrolment.used_at is not None
        return cls(
            id=enrolment.id,
            name=enrolment.name.value,
            labels=enrolment.labels.as_mapping(),
            state="used" if used else "open" if is_open else "closed",
            created_at=moment(enrolment.created_at),
            expires_at=moment(enrolment.expires_at),
            created_by=enrolment.created_by,
            used_at=maybe(enrolment.used_at),
            host_id=enrolment.host_id,
        )


class NewEnrolment(BaseModel):
    """With the token, this once."""

    enrolment: Enrolment
    token: str = Field(
        description="Good once, until `expires_at`; it is not kept and not shown again"
    )
    control_plane_key: str = Field(description="The fingerprint of the key that agents pin")
    command: str = Field(description="What to run on the machine, as root")


class Host(BaseModel):
    """A host, and what its agent last said of itself; null for what is not known."""

    id: str = Field(examples=["host_01JMZ3T5W8"])
    name: str = Field(examples=["web-1"])
    labels: dict[str, str]
    credential: Literal["key", "token"]
    public_key: str | None = Field(description="Its fingerprint")
    created_at: Moment
    revoked_at: Moment | None
    clone_suspected_at: Moment | None = Field(
        description="When two machines were last seen to use this identity in turns"
    )
    online: bool
    connected_at: Moment | None
    last_seen_at: Moment | None
    version: str | None = Field(examples=["1.0.0"])
    architecture: str | None = Field(examples=["linux-amd64"])
    hostname: str | None
    address: str | None = Field(description="Where it connects from", examples=["203.0.113.7"])
    facts: dict[str, Any] = Field(description="Of its last heartbeat; docs/protocol-v2.md has them")
    protocol: int | None = Field(examples=[2])
    delivery: Guarantee | None = Field(
        description="`at_least_once`: over protocol v1, a command whose answer is lost is sent again"
    )
    cancel: bool | None = Field(description="Whether what was sent can be canceled")
    live_output: bool | None = Field(description="Whether output comes while a job runs")

    @classmethod
    def of(cls, view: HostView) -> Host:
        """The view of a host."""
        host, report, abilities = view.host, view.host.report, view.abilities
        return cls(
            id=host.id,
            name=host.name.value,
            labels=host.labels.as_mapping(),
            credential=host.credential.value,
            public_key=fingerprint_of(host.public_key) if host.public_key else None,
            created_at=moment(host.created_at),
            revoked_at=maybe(host.revoked_at),
            clone_suspected_at=maybe(host.clone_suspected_at),
            online=view.is_online,
            connected_at=None if report is None else moment(report.connected_at),
            last_seen_at=None if report is None else moment(report.last_seen_at),
            version=None if report is None else report.version,
            architecture=None if report is None else report.architecture,
            hostname=None if report is None else report.hostname,
            address=None if report is None else report.address,
            facts={} if report is None else dict(report.facts),
            protocol=protocol_of(host),
            delivery=None if abilities is None else abilities.delivery,
            cancel=None if abilities is None else abilities.cancel,
            live_output=None if abilities is None else abilities.live_output,
        )


class HostWithToken(BaseModel):
    """A host that uses a token, and the token, this once."""

    host: Host
    token: str = Field(description="AGENT_SECRET_TOKEN of its agent; it is not kept or shown again")


class StepOutput(BaseModel):
    """What the output of one attempt at one step amounts to."""

    step: str
    attempt: int
    exit_code: int | None
    length: int
    sha256: str
    truncated: bool


class Result(BaseModel):
    """What the agent said at the end."""

    logs: str
    error: str
    data: dict[str, Any] = Field(description="For programs; docs/protocol.md has what stands in it")
    output: list[StepOutput]

    @classmethod
    def of(cls, result: JobResult) -> Result:
        """The view of a result."""
        return cls(
            logs=result.logs,
            error=result.error,
            data=dict(result.data),
            output=[
                StepOutput(
                    step=one.step,
                    attempt=one.attempt,
                    exit_code=one.exit_code,
                    length=one.length,
                    sha256=one.sha256,
                    truncated=one.truncated,
                )
                for one in result.output
            ],
        )


class Job(BaseModel):
    """One command to one host."""

    id: str = Field(examples=["job_01JMZ3T5W8"])
    host_id: str
    host: str | None = Field(description="The host's name", examples=["web-1"])
    kind: str = Field(description="The command's name on the wire", examples=["DEPLOY_COMPOSE"])
    project: str | None = Field(examples=["blog"])
    deployment_id: str | None
    state: FleetJobState
    delivery: Delivery = Field(description="How far the command has got on its way to the agent")
    over: bool = Field(description="Whether `state` is final")
    reason: str = Field(description="For machines, of one that did not succeed")
    error: str
    superseded_by: str | None
    requested_by: str
    created_at: Moment
    expires_at: Moment | None = Field(description="When it expires, if it was not sent by then")
    sent_at: Moment | None
    accepted_at: Moment | None
    started_at: Moment | None
    finished_at: Moment | None
    cancel_requested_at: Moment | None
    deadline_s: float | None
    result: Result | None = Field(
        default=None, description="Where one job is shown, and its agent has told the end"
    )

    @classmethod
    def of(cls, job: FleetJob, host: str | None, result: JobResult | None = None) -> Job:
        """The view of a job."""
        return cls(
            id=job.id,
            host_id=job.host_id,
            host=host,
            kind=job.kind,
            project=job.project,
            deployment_id=job.deployment_id,
            state=job.state,
            delivery=job.delivery,
            over=job.is_over,
            reason=job.reason,
            error=job.error,
            superseded_by=job.superseded_by or None,
            requested_by=job.requested_by,
            created_at=moment(job.created_at),
            expires_at=maybe(job.expires_at),
            sent_at=maybe(job.sent_at),
            accepted_at=maybe(job.accepted_at),
            started_at=maybe(job.started_at),
            finished_at=maybe(job.finished_at),
            cancel_requested_at=maybe(job.cancel_requested_at),
            deadline_s=job.deadline_s,
            result=None if result is None else Result.of(result),
        )


class Deployment(BaseModel):
    """What was wished for, and what the states of its jobs amount to."""

    id: str = Field(examples=["dep_01JMZ3T5W8"])
    project: str = Field(examples=["blog"])
    state: DeploymentState
    jobs_by_state: dict[FleetJobState, int] = Field(examples=[{"succeeded": 2, "running": 1}])
    hosts: list[str] = Field(description="As they were named; empty for labels")
    host_labels: dict[str, str]
    digest: str = Field(description="SHA-256 of the content; the agents' revisions have it too")
    content: dict[str, Any] = Field(
        description="Sizes, paths of files, names of variables, registries, options",
        examples=[{"compose_bytes": 64, "variables": ["TAG"], "files": [], "options": {}}],
    )
    created_at: Moment
    requested_by: str
    redeploy_of: str | None

    @classmethod
    def of(cls, view: DeploymentView) -> Deployment:
        """The view of a deployment."""
        return cls(**_deployment_fields(view))


class DeploymentWithJobs(Deployment):
    """With one job for each host."""

    jobs: list[Job]

    @classmethod
    def with_jobs(
        cls, view: DeploymentView, jobs: Sequence[FleetJob], names: Mapping[HostId, str]
    ) -> DeploymentWithJobs:
        """The view of a deployment and its jobs."""
        return cls(
            **_deployment_fields(view),
            jobs=[Job.of(job, names.get(job.host_id)) for job in jobs],
        )


class EnrolmentPage(PageOf[Enrolment]):
    """Enrolments, the newest first."""


class HostPage(PageOf[Host]):
    """Hosts, by name."""


class JobPage(PageOf[Job]):
    """Jobs, the newest first."""


class DeploymentPage(PageOf[Deployment]):
    """Deployments, the newest first."""


def moment(seconds: float) -> datetime:
    """A time as the API has it."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def maybe(seconds: float | None) -> datetime | None:
    """A time that may not have come."""
    return None if seconds is None else moment(seconds)


def _deployment_fields(view: DeploymentView) -> dict[str, Any]:
    deployment = view.deployment
    return {
        "id": deployment.id,
        "project": deployment.project,
        "state": view.state,
        "jobs_by_state": dict(view.tally),
        "hosts": list(deployment.selector.hosts),
        "host_labels": deployment.selector.labels.as_mapping(),
        "digest": deployment.digest,
        "content": dict(deployment.summary),
        "created_at": moment(deployment.created_at),
        "requested_by": deployment.requested_by,
        "redeploy_of": deployment.redeploy_of,
    }
