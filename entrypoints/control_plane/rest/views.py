"""What the API shows of jobs and deployments.

Nothing here has content, variables or credentials; times are UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field

from application.control_plane.deployments import DeploymentView
from domain.commands import DeployCompose
from domain.content import assignments_in
from domain.deploy_options import options_document
from domain.fleet.deployment import DeploymentState
from domain.fleet.host import HostId
from domain.fleet.job import Delivery, FleetJob, FleetJobState, JobResult
from domain.fleet.page import Page

T = TypeVar("T")

Moment = Annotated[datetime, Field(examples=["2026-01-31T12:00:00Z"])]


class PageOf(BaseModel, Generic[T]):
    """Part of a list."""

    items: list[T]
    next: str | None = Field(
        default=None, description="To be given as `after` for what follows; null at the end"
    )


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

    id: str = Field(examples=["job_01KG9YS7G08Z3KX5V0T9QMC7RW"])
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

    id: str = Field(examples=["dep_01KG9YS7G08Z3KX5V0T9QMC7RW"])
    project: str = Field(examples=["blog"])
    state: DeploymentState
    jobs_by_state: dict[FleetJobState, int] = Field(examples=[{"succeeded": 2, "running": 1}])
    hosts: list[str] = Field(
        description="As they were named; empty for labels, and where not all of them may be seen"
    )
    host_labels: dict[str, str]
    digest: str = Field(description="SHA-256 of the content; the agents' revisions have it too")
    content: dict[str, Any] = Field(
        description="Sizes, paths of files, names of variables, registries, options"
    )
    created_at: Moment
    requested_by: str
    redeploy_of: str | None

    @classmethod
    def of(cls, view: DeploymentView) -> Deployment:
        """The view of a deployment."""
        return cls(**_deployment_fields(view))


class DeploymentWithJobs(Deployment):
    """With its jobs, one for each host.

    Where it is made, these are all of them, in the order of its hosts. Where it is shown, they are
    the first page of `/jobs?deployment=<id>`, the newest first.
    """

    jobs: list[Job]
    jobs_next: str | None = Field(
        description="To be given as `after` to `/jobs?deployment=<id>` for the jobs that follow; null "
        "where these are all"
    )

    @classmethod
    def with_jobs(
        cls, view: DeploymentView, jobs: Page[FleetJob], names: Mapping[HostId, str]
    ) -> DeploymentWithJobs:
        """The view of a deployment and some of its jobs."""
        return cls(
            **_deployment_fields(view),
            jobs=[Job.of(job, names.get(job.host_id)) for job in jobs.items],
            jobs_next=jobs.next,
        )


class Variable(BaseModel):
    """A variable of `.env`; its value is shown to nobody."""

    name: str = Field(examples=["TAG"])
    fingerprint: str = Field(examples=["9f2c0b7a4d5e61038a7b6c5d4e3f2a1b"])


class FileFingerprint(BaseModel):
    """A file beside the compose file; its content is shown to nobody."""

    path: str = Field(examples=["nginx/site.conf"])
    bytes: int
    mode: str = Field(examples=["0644"])
    fingerprint: str


class DeploymentContent(BaseModel):
    """What a deployment brought."""

    compose: str
    variables: list[Variable]
    files: list[FileFingerprint]
    options: dict[str, Any]

    @classmethod
    def of(cls, command: DeployCompose, fingerprint: Callable[[bytes], str]) -> DeploymentContent:
        """The view of what was deployed."""
        env = command.env or b""
        variables = assignments_in(env) or ({".env": env.decode("latin-1")} if env else {})
        return cls(
            compose=command.file.content.decode("utf-8", "replace"),
            variables=[
                # With the name: two variables with one value are not told apart from others.
                Variable(name=name, fingerprint=fingerprint(f"env\0{name}\0{value}".encode()))
                for name, value in variables.items()
            ],
            files=[
                FileFingerprint(
                    path=one.path,
                    bytes=len(one.content),
                    mode=f"{one.mode:04o}",
                    fingerprint=fingerprint(b"file\0" + one.path.encode() + b"\0" + one.content),
                )
                for one in command.files
            ],
            options=options_document(replace(command.options, requested_by="")),
        )


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
        "hosts": list(deployment.selector.hosts) if view.is_whole else [],
        "host_labels": deployment.selector.labels.as_mapping(),
        "digest": deployment.digest,
        "content": dict(deployment.summary),
        "created_at": moment(deployment.created_at),
        "requested_by": deployment.requested_by,
        "redeploy_of": deployment.redeploy_of,
    }
