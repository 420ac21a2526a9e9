"""How jobs and their results come to be: of what is asked, and of what is printed meanwhile."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from application.control_plane.access import ADMINISTRATOR
from domain.commands import CHANGING_COMMANDS, COMMAND_NAMES, Command, project_of
from domain.fleet.job import (
    CHANGE_TTL_S,
    READ_TTL_S,
    DeploymentId,
    FleetJob,
    FleetJobState,
    JobResult,
)
from domain.link_messages import StepOutput
from domain.policy import STANDARD
from domain.project import ProjectName
from entrypoints.control_plane.rest.examples.fleet import WEB_1, id_of
from entrypoints.control_plane.rest.requests import Waiting

BLOG: Final = ProjectName("blog")
POLICY: Final = STANDARD


@dataclass(frozen=True, slots=True)
class Step:
    """One of a job's steps, and what it printed: in words of the agent's own, or by Compose."""

    name: str
    seconds: float
    printed: str = ""
    is_compose: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """What the agent says at the end, and how long it took to come to it."""

    result: JobResult
    seconds: float


JUDGED: Final = (
    Step("validate", 0.299, "1 service: web\n"),
    Step("policy", 0.001, f"allowed by the host's policy ({POLICY.name})\n"),
)
LOOKED: Final = (
    Step(
        "wait",
        2.525,
        "service 'web': blog-web-1 runs, for less than 2 s\nservice 'web': blog-web-1 runs\n",
    ),
    Step("verify", 0.002, "service 'web': blog-web-1 runs\n"),
)


def compose(name: str, seconds: float, *lines: str) -> Step:
    """A step in which Compose prints these lines."""
    return Step(name, seconds, "".join(f" {line}\n" for line in lines), is_compose=True)


def changed(sentence: str, *steps: Step, **data: object) -> End:
    """Of a command that changes something; what Compose printed last is told again."""
    of_compose = [step for step in steps if step.is_compose]
    report = [{"step": step.name, "state": "ok", "seconds": step.seconds} for step in steps]
    result = JobResult(
        f"Project '{BLOG}' {sentence}.\n\nOutput:\n{of_compose[-1].printed}",
        "",
        {**data, "steps": report},
        tuple(
            StepOutput(
                step=step.name,
                attempt=1,
                exit_code=0,
                length=len(step.printed.encode()),
                sha256=sha256_of(step.printed),
                truncated=False,
            )
            for step in of_compose
        ),
    )
    return End(result, sum(step.seconds for step in steps))


def answered(logs: str, **data: object) -> End:
    """Of a question."""
    return End(JobResult(logs, "", data), 0.042)


def sha256_of(text: str) -> str:
    """In hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def job_of(
    command: Command, body: Waiting, moment: float, deployment_id: DeploymentId | None = None
) -> FleetJob:
    """What a request becomes at once."""
    usual_s = CHANGE_TTL_S if isinstance(command, CHANGING_COMMANDS) else READ_TTL_S
    project = project_of(command)
    return FleetJob(
        id=id_of("job", moment),
        host_id=WEB_1.id,
        kind=COMMAND_NAMES[type(command)],
        project=None if project is None else project.value,
        state=FleetJobState.QUEUED,
        created_at=moment,
        requested_by=ADMINISTRATOR.value,
        deployment_id=deployment_id,
        expires_at=moment + (body.ttl_s or usual_s),
        deadline_s=body.deadline_s,
    )


def running(job: FleetJob) -> FleetJob:
    """A little later."""
    return replace(
        job,
        state=FleetJobState.RUNNING,
        sent_at=job.created_at + 0.002,
        accepted_at=job.created_at + 0.009,
        started_at=job.created_at + 0.011,
    )


def canceling(job: FleetJob) -> FleetJob:
    """A second later, when somebody has canceled it."""
    return replace(
        running(job), state=FleetJobState.CANCELING, cancel_requested_at=job.created_at + 1
    )


def over(job: FleetJob, seconds: float) -> FleetJob:
    """When it has taken that long."""
    begun = running(job)
    assert begun.started_at is not None
    return replace(begun, state=FleetJobState.SUCCEEDED, finished_at=begun.started_at + seconds)
