"""The examples, by the names of the operations, as they stand in the document."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from application.control_plane.deployments import DeploymentView, tally_of
from application.control_plane.figures import Figures
from application.control_plane.hosts import HostView
from domain.fleet.abilities import abilities_of
from domain.fleet.access import ENROLMENT_PREFIX, HOST_PREFIX
from domain.fleet.deployment import Deployment
from domain.fleet.host import Host
from domain.fleet.job import FleetJob, FleetJobState, JobResult
from domain.fleet.page import Page
from domain.project import ProjectName
from entrypoints.control_plane.rest import feeds, host_views, views
from entrypoints.control_plane.rest.enrolments import enrolling_command
from entrypoints.control_plane.rest.examples import deployments, fleet, people
from entrypoints.control_plane.rest.examples.commands import ASKED, Asked
from entrypoints.control_plane.rest.examples.jobs import canceling, over
from entrypoints.control_plane.rest.install_script import TEMPLATE
from entrypoints.control_plane.rest.metrics import Metrics
from entrypoints.control_plane.rest.service import Health

Document = dict[str, Any]

_SAME_EVERYWHERE: Final = re.compile(r"(?:# \w+ )?instadeploy_(?:agents|jobs|oldest|followers)")
_IDS: Final = {
    "enrolment_id": fleet.ENROLMENT.id,
    "deployment_id": deployments.FIRST.deployment.id,
    "job_id": deployments.FIRST.job.id,
}
_OF_WEB_2: Final = {"host": fleet.WEB_2.name.value}


@dataclass(frozen=True, slots=True)
class Examples:
    """Of one operation: answers by their status, and its request's body, or several by their names.

    `path` is what stands in the path where that is not `web-1`, or the first of its kind.
    """

    answers: Mapping[int, object] = field(default_factory=dict)
    request: BaseModel | Mapping[str, BaseModel] | None = None
    path: Mapping[str, str] = field(default_factory=dict)

    def put_into(self, operation: Document) -> None:
        """Where OpenAPI has them."""
        for status, answer in self.answers.items():
            shown = _json(answer) if isinstance(answer, BaseModel) else answer
            for content in operation["responses"][str(status)]["content"].values():
                content["example"] = shown
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if isinstance(self.request, BaseModel):
                content["example"] = _body(self.request)
            elif self.request is not None:
                content["examples"] = {
                    name: {"value": _body(body)} for name, body in self.request.items()
                }
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                value = {**_IDS, **self.path}.get(parameter["name"])
                if value is not None:
                    parameter["schema"]["examples"] = [value]


def examples_by_operation(document: Document) -> dict[str, Examples]:
    """All of them; `document` is what they are for."""
    return dict(
        [*_of_hosts(), *_of_deployments(), *_of_jobs(), *_of_people(), *_of_service(document)]
    )


_Named = Iterator[tuple[str, Examples]]


def _of_hosts() -> _Named:
    web_1 = _host(fleet.WEB_1, is_online=True)
    web_2 = _host(fleet.WEB_2)
    with_token = host_views.HostWithToken(host=web_2, token=fleet.token_of(HOST_PREFIX))
    used = host_views.Enrolment.of(fleet.USED_ENROLMENT, is_open=False)
    token = fleet.token_of(ENROLMENT_PREFIX)
    new = host_views.NewEnrolment(
        enrolment=host_views.Enrolment.of(fleet.ENROLMENT, is_open=True),
        token=token,
        control_plane_key=fleet.CONTROL_PLANE_KEY,
        command=enrolling_command(fleet.CONTROL_PLANE_URL, token, fleet.CONTROL_PLANE_KEY),
        install_url=fleet.INSTALL_URL,
    )
    yield "create_enrolment", Examples({201: new}, fleet.TO_ENROL)
    yield "list_enrolments", Examples({200: host_views.EnrolmentPage(items=[used])})
    yield "withdraw_enrolment", Examples()
    yield "list_hosts", Examples({200: host_views.HostPage(items=[web_1, web_2])})
    yield "show_host", Examples({200: web_1})
    yield (
        "change_host",
        Examples({200: _host(fleet.CHANGED_WEB_1, is_online=True)}, fleet.HOST_CHANGE),
    )
    yield "create_token_host", Examples({201: with_token}, fleet.NEW_TOKEN_HOST)
    yield "rotate_host_token", Examples({201: with_token}, path=_OF_WEB_2)
    yield "revoke_host", Examples({200: _host(fleet.REVOKED_WEB_2)}, path=_OF_WEB_2)
    yield "settle_clone_suspicion", Examples({200: web_1})


def _of_deployments() -> _Named:
    first, after, again = deployments.FIRST, deployments.NEXT, deployments.AGAIN
    first_over, next_over = deployments.FIRST_OVER, deployments.NEXT_OVER
    yield (
        "create_deployment",
        Examples(
            {202: _deployment(first.deployment, first.job)},
            {
                "to a host": deployments.NEW_DEPLOYMENT,
                "to all hosts with a label": deployments.NEXT_DEPLOYMENT,
            },
        ),
    )
    yield (
        "redeploy",
        Examples({202: _deployment(again.deployment, again.job)}, deployments.REDEPLOYMENT),
    )
    yield (
        "cancel_deployment",
        Examples({202: _deployment(first.deployment, canceling(first.job))}),
    )
    both = [
        views.Deployment.of(DeploymentView(one, tally_of([job])))
        for one, job in ((after.deployment, next_over), (first.deployment, first_over))
    ]
    yield "list_deployments", Examples({200: views.DeploymentPage(items=both)})
    yield "show_deployment", Examples({200: _deployment(first.deployment, first_over)})
    content = deployments.NEW_DEPLOYMENT.deployment_of(ProjectName("blog"))
    yield (
        "show_deployment_content",
        Examples({200: views.DeploymentContent.of(content, _fingerprint)}),
    )
    yield "follow_deployment", Examples({200: _events(of_deployment=True)})
    yield "show_project_history", Examples({200: _page([next_over, first_over])})


def _of_jobs() -> _Named:
    for name, asked in ASKED.items():
        done = _job(_over(asked), asked.end.result)
        yield name, Examples({200: done, 202: _job(asked.job)}, asked.body)
    first, result = deployments.FIRST_OVER, deployments.RESULT
    yield "list_jobs", Examples({200: _page([_over(ASKED["ask_project_status"]), first])})
    yield "show_job", Examples({200: _job(first, result)})
    yield "cancel_job", Examples({202: _job(canceling(deployments.FIRST.job))})
    yield "show_job_result", Examples({200: views.Result.of(result)})
    yield "show_job_output", Examples({200: deployments.OUTPUT})
    yield "follow_job", Examples({200: _events(of_deployment=False)})


def _of_people() -> _Named:
    bodies = people.requests()
    for name, answers in people.answers():
        yield name, Examples(answers, bodies.get(name), people.PATHS.get(name, {}))


def _of_service(document: Document) -> _Named:
    yield "install_script", Examples({200: TEMPLATE.partition("\n\n")[0]})
    yield "install_script_headers", Examples()
    yield "agent_file", Examples({200: "#!/bin/sh"})
    yield "agent_file_headers", Examples()
    yield "healthz", Examples({200: Health()})
    yield "readyz", Examples({200: Health()})
    figures = Figures(
        online={2: 1},
        jobs={FleetJobState.SUCCEEDED: len(ASKED) + 2},
        counted_s_ago=1.5,
        waiting_s=0.0,
        followers=1,
    )
    lines = Metrics().exposition(figures).decode().splitlines(keepends=True)
    yield (
        "metrics",
        Examples({200: "".join(line for line in lines if _SAME_EVERYWHERE.match(line))}),
    )
    beginning = {name: document[name] for name in ("openapi", "info")}
    yield "openapi", Examples({200: beginning | {"paths": {}}})


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _json(model: BaseModel) -> Document:
    return model.model_dump(mode="json")


def _body(model: BaseModel) -> Document:
    return model.model_dump(mode="json", exclude_unset=True)


def _host(host: Host, *, is_online: bool = False) -> host_views.Host:
    return host_views.Host.of(HostView(host, is_online, abilities_of(host)))


def _job(job: FleetJob, result: JobResult | None = None) -> views.Job:
    return views.Job.of(job, fleet.WEB_1.name.value, result)


def _over(asked: Asked) -> FleetJob:
    return over(asked.job, asked.end.seconds)


def _page(jobs: Sequence[FleetJob]) -> views.JobPage:
    return views.JobPage(items=[_job(job) for job in jobs])


def _deployment(deployment: Deployment, job: FleetJob) -> views.DeploymentWithJobs:
    view = DeploymentView(deployment, tally_of([job]))
    names = {fleet.WEB_1.id: fleet.WEB_1.name.value}
    return views.DeploymentWithJobs.with_jobs(view, Page([job]), names)


def _events(*, of_deployment: bool) -> str:
    ended = tally_of([deployments.FIRST_OVER])
    events = [feeds.event_of(entry) for entry in deployments.feed()]
    whole = [feeds.RETRY, *events, feeds.end_of(ended, of_deployment=of_deployment)]
    return b"".join(whole).decode()
