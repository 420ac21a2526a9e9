"""What the contracts of the control plane's stores are about: a fleet, and how its nouns are made."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Protocol

import pytest

from application.ports.audit_trail import AuditTrail
from application.ports.host_directory import HostDirectory
from application.ports.job_store import JobStore, Remembered, Submission
from application.ports.people import People
from domain.fleet.deployment import Deployment
from domain.fleet.host import Credential, Enrolment, EnrolmentId, Host, HostId, HostName
from domain.fleet.job import DeploymentId, FeedEntry, FeedKind, FleetJob, FleetJobState, JobResult
from domain.fleet.labels import Labels, Selector
from domain.fleet.link_state import Heard, Recorded
from domain.job import JobState
from domain.link_messages import (
    Accept,
    OutputChunk,
    OutputPosition,
    Result,
    SequencedSaid,
    StepOutput,
)

NOW = 1_700_000_000.5


class Fleet(Protocol):
    """The stores on one database."""

    @property
    def hosts(self) -> HostDirectory: ...

    @property
    def jobs(self) -> JobStore: ...

    @property
    def people(self) -> People: ...

    @property
    def audit(self) -> AuditTrail: ...


Reopen = Callable[[Fleet], Awaitable[Fleet]]
"""End the program on a database, and start another one on it."""


class FleetContract:
    """Give a `fleet` without hosts; `reopen` starts the program again."""

    @pytest.fixture
    def fleet(self) -> Fleet:
        raise NotImplementedError

    @pytest.fixture
    def reopen(self) -> Reopen:
        raise NotImplementedError


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def a_host(name: str, **labels: str) -> Host:
    """One that uses a token; its id is `host_` and the name."""
    return Host(HostId(f"host_{name}"), HostName(name), Labels.of(labels), Credential.TOKEN, NOW)


def a_key_host(name: str, key: str = "") -> Host:
    """One that uses a key, as it comes to be enrolled."""
    return replace(a_host(name), credential=Credential.KEY, public_key=key or f"key-of-{name}")


def an_enrolment(name: str, *, at: float = NOW, **labels: str) -> Enrolment:
    return Enrolment(
        EnrolmentId(f"enrolment_{name}_{at:.0f}"),
        HostName(name),
        Labels.of(labels),
        at,
        at + 600,
        "admin",
    )


def a_job(number: int | str, host: Host, kind: str = "DEPLOY_COMPOSE", **more: object) -> FleetJob:
    """A queued one of the project `blog`, or of none, as its kind has it."""
    project = None if kind in ("HEALTH_CHECK", "LIST_PROJECTS") else "blog"
    job = FleetJob(
        id=f"job-{number}",
        host_id=host.id,
        kind=kind,
        project=project,
        state=FleetJobState.QUEUED,
        created_at=NOW,
        requested_by="admin",
    )
    return replace(job, **more)  # type: ignore[arg-type]


def a_deployment(number: int | str, *, at: float = NOW, project: str = "blog") -> Deployment:
    return Deployment(
        id=DeploymentId(f"deployment-{number}"),
        project=project,
        selector=Selector.naming(["web-1", "web-2"]),
        digest="d" * 64,
        created_at=at,
        requested_by="admin",
        summary={"compose_bytes": 12, "env": ["A", "B"], "options": {"wait": True}},
    )


def a_submission(*jobs: FleetJob, **more: object) -> Submission:
    return replace(Submission(jobs=jobs, payload=b"sealed"), **more)  # type: ignore[arg-type]


def a_request(key: str = "key-1", *, digest: str = "digest-1", who: str = "admin") -> Remembered:
    return Remembered(key, who, digest, '{"id": "job-1"}')


async def with_hosts(fleet: Fleet, *names: str) -> list[Host]:
    """Add these hosts."""
    hosts = [a_host(name) for name in names]
    for host in hosts:
        await fleet.hosts.add(host, hashed(host.name.value))
    return hosts


async def with_jobs(fleet: Fleet, *jobs: FleetJob) -> None:
    """Submit these, each by itself."""
    for job in jobs:
        await fleet.jobs.submit(a_submission(job, payload=f"sealed {job.id}".encode()))


async def say(
    fleet: Fleet,
    host: Host,
    *messages: SequencedSaid | OutputChunk,
    at: float = NOW + 10,
    running: Iterable[str] = (),
    confirmed: int | None = None,
) -> Recorded:
    """Have it recorded that the host's agent has said this."""
    return await fleet.jobs.record(Heard(host.id, at, messages, tuple(running), confirmed))


def accept(seq: int, job_id: str, state: JobState = JobState.ACCEPTED) -> Accept:
    return Accept(seq, job_id, state)


def result(seq: int, job_id: str, state: JobState = JobState.SUCCEEDED, **data: object) -> Result:
    error = "" if state is JobState.SUCCEEDED else f"it {state}"
    step = StepOutput("up", 1, 0, 12, "a" * 64, truncated=False)
    return Result(seq, job_id, state, "what it printed", error, data, (step,))


def kept(message: Result) -> JobResult:
    """What is kept of it."""
    return JobResult(message.logs, message.error, message.data, message.output)


def chunk(
    job_id: str, content: bytes, offset: int = 0, *, step: str = "up", attempt: int = 1
) -> OutputChunk:
    return OutputChunk(job_id, OutputPosition(step, attempt, offset), content)


async def states_in_feed(fleet: Fleet, job_id: str) -> list[FleetJobState | None]:
    """Which states a job went through, as its feed has it."""
    entries = await fleet.jobs.feed(job_id=job_id)
    return [entry.state for entry in entries if entry.kind is FeedKind.STATE]


async def printed(fleet: Fleet, job_id: str) -> list[tuple[str, int, int, bytes]]:
    """The pieces of what a job printed: step, attempt, offset, bytes."""
    entries = await fleet.jobs.feed(job_id=job_id)
    return [
        (entry.step, entry.attempt, entry.offset, entry.content)
        for entry in entries
        if entry.kind is FeedKind.OUTPUT
    ]


async def cut(fleet: Fleet, job_id: str) -> list[tuple[str, int, int]]:
    """Where the output of a job begins that is not kept: step, attempt, offset."""
    entries = await fleet.jobs.feed(job_id=job_id)
    return [
        (entry.step, entry.attempt, entry.offset) for entry in entries if entry.kind is FeedKind.CUT
    ]


def numbers(entries: Iterable[FeedEntry]) -> list[int]:
    return [entry.number for entry in entries]
