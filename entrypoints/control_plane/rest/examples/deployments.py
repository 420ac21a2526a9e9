"""The deployments: `blog` comes to `web-1` at noon, and a newer one half an hour later."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from application.control_plane.access import ADMINISTRATOR
from domain.commands import DeployCompose
from domain.fleet.deployment import Deployment, summary_of
from domain.fleet.job import DeploymentId, FeedEntry, FeedKind, FleetJob, FleetJobState
from entrypoints.control_plane.rest.examples.fleet import WEB_1, at, id_of
from entrypoints.control_plane.rest.examples.jobs import (
    BLOG,
    JUDGED,
    LOOKED,
    Step,
    changed,
    compose,
    job_of,
    over,
)
from entrypoints.control_plane.rest.requests import (
    COMPOSE,
    FileContent,
    Login,
    NewDeployment,
    Options,
    Redeployment,
)


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment, and its one job, as it is at once."""

    deployment: Deployment
    job: FleetJob


def _deployed(
    minutes: float,
    command: DeployCompose,
    body: NewDeployment | Redeployment,
    redeploy_of: DeploymentId | None = None,
) -> Deployed:
    moment = at(minutes)
    deployment = Deployment(
        id=DeploymentId(id_of("dep", moment)),
        project=command.project.value,
        selector=body.selector(),
        digest=command.content.digest,
        created_at=moment,
        requested_by=ADMINISTRATOR.value,
        redeploy_of=redeploy_of,
        summary=summary_of(command),
    )
    return Deployed(deployment, job_of(command, body, moment, deployment.id))


NEW_DEPLOYMENT: Final = NewDeployment(
    project=BLOG.value,
    compose=COMPOSE,
    env={"TAG": "1.27"},
    options=Options(wait_timeout_s=120, labels={"commit": "4ca26a0"}),
    hosts=[WEB_1.name.value],
)
NEXT_DEPLOYMENT: Final = NewDeployment(
    project=BLOG.value,
    compose=COMPOSE,
    env="TAG=1.28\n",
    files={"site.conf": FileContent(content="server { listen 80; }\n", mode="0644")},
    options=Options(pull="always", remove_orphans=True),
    registry_auth={"registry.example.com": Login(username="robot", password="<password>")},  # noqa: S106
    host_labels=WEB_1.labels.as_mapping(),
    ttl_s=3600,
)
REDEPLOYMENT: Final = Redeployment(host_labels=WEB_1.labels.as_mapping(), deadline_s=600)

_COMMAND: Final = NEW_DEPLOYMENT.deployment_of(BLOG)
FIRST: Final = _deployed(0, _COMMAND, NEW_DEPLOYMENT)
NEXT: Final = _deployed(30, NEXT_DEPLOYMENT.deployment_of(BLOG), NEXT_DEPLOYMENT)
AGAIN: Final = _deployed(80, _COMMAND, REDEPLOYMENT, FIRST.deployment.id)

_STEPS: Final = (
    *JUDGED,
    compose("pull", 3.125, "Image nginx:1.27 Pulling ", "Image nginx:1.27 Pulled "),
    compose(
        "apply",
        1.071,
        "Network blog_default  Creating",
        "Network blog_default  Created",
        "Container blog-web-1  Creating",
        "Container blog-web-1  Created",
        "Container blog-web-1  Starting",
        "Container blog-web-1  Started",
    ),
    *LOOKED,
    Step("record", 0.101),
)
_END: Final = changed("deployed successfully", *_STEPS, revision=1, digest=FIRST.deployment.digest)

FIRST_OVER: Final = over(FIRST.job, _END.seconds)
NEXT_OVER: Final = over(NEXT.job, _END.seconds)
RESULT: Final = _END.result
OUTPUT: Final = "".join(step.printed for step in _STEPS)


def feed() -> list[FeedEntry]:
    """What happens to the job of the first deployment."""
    begun, ended = FIRST_OVER.started_at, FIRST_OVER.finished_at
    assert FIRST_OVER.accepted_at is not None
    assert begun is not None
    assert ended is not None

    def state(moment: float, now: FleetJobState) -> FeedEntry:
        return FeedEntry(0, FIRST_OVER.id, moment, FeedKind.STATE, now)

    entries = [
        state(FIRST_OVER.created_at, FleetJobState.QUEUED),
        state(FIRST_OVER.accepted_at, FleetJobState.ACCEPTED),
        state(begun, FleetJobState.RUNNING),
    ]
    for step in _STEPS:
        begun += step.seconds
        content = step.printed.encode()
        if content:
            entries.append(
                replace(
                    entries[-1],
                    at=begun,
                    kind=FeedKind.OUTPUT,
                    state=None,
                    step=step.name,
                    attempt=1,
                    content=content,
                )
            )
    entries.append(state(ended, FleetJobState.SUCCEEDED))
    return [replace(entry, number=number) for number, entry in enumerate(entries, start=1)]
