"""A control plane in memory, behind the methods of the client: for commands, not for the wire."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.api_client.client import ApiClient
from adapters.api_client.documents import (
    DeployedContent,
    Deployment,
    Enrolment,
    Host,
    Job,
    NewEnrolment,
)
from adapters.api_client.errors import FieldError, Refused
from adapters.api_client.feed import PATIENCE_S, FeedEvent, Trouble
from adapters.api_client.hosts import HostsApi
from adapters.api_client.jobs import DeploymentsApi, JobsApi
from adapters.api_client.projects import ProjectsApi
from adapters.api_client.sending import Parameters
from tests.unit.cli.fake_people import FakeAudit, FakeSession, FakeTokens, FakeUsers
from tests.unit.cli.world import AT, TOKEN, World, not_found


class FakeHosts(HostsApi):
    def __init__(self, world: World) -> None:
        self.world = world

    async def listed(
        self, labels: Mapping[str, str] | None = None, *, with_revoked: bool = False
    ) -> list[Host]:
        self.world.asks("hosts")
        wanted = (labels or {}).items()
        return [
            host
            for _, host in sorted(self.world.hosts.items())
            if wanted <= host["labels"].items() and (with_revoked or host["revoked_at"] is None)
        ]

    async def show(self, host: str) -> Host:
        self.world.asks("host", host=host)
        return self.world.host(host)

    async def change(
        self, host: str, *, name: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Host:
        found = self.world.host(host)
        if name is not None and name in self.world.hosts and name != found["name"]:
            raise Refused(409, "conflict", f"there is a host {name!r}")
        if name is not None:
            self.world.hosts[name] = self.world.hosts.pop(found["name"])
            found["name"] = name
        if labels is not None:
            found["labels"] = dict(labels)
        return found

    async def revoke(self, host: str) -> Host:
        found = self.world.host(host)
        found["revoked_at"], found["online"] = AT, False
        return found

    async def enrol(
        self, name: str, labels: Mapping[str, str], *, ttl_s: float | None = None
    ) -> NewEnrolment:
        self.world.asks("enrol", name=name, ttl_s=ttl_s)
        if name in self.world.hosts:
            raise Refused(409, "conflict", f"there is a host {name!r}")
        for one in self.world.enrolments.values():
            if (one["name"].lower(), one["state"]) == (name.lower(), "open"):
                raise Refused(409, "conflict", f"name: an enrolment is open for {name}")
        enrolment: Enrolment = {
            "id": f"enr_{next(self.world.numbers)}", "name": name, "labels": dict(labels),
            "state": "open", "created_at": AT, "expires_at": "2027-01-15T08:10:00Z",
            "created_by": "ann", "used_at": None, "host_id": None,
        }  # fmt: skip
        self.world.enrolments[enrolment["id"]] = enrolment
        return {
            "enrolment": enrolment, "token": "ide_secret", "control_plane_key": "sha256:cd",
            "command": "SERVER_URL=wss://cp/ws AGENT_ENROLL_TOKEN=ide_secret instadeploy-agent",
            "install_url": self.world.install_url,
        }  # fmt: skip

    async def enrolments(self, *, limit: int | None = None) -> list[Enrolment]:
        self.world.asks("enrolments")
        return list(self.world.enrolments.values())[::-1][:limit]

    async def withdraw(self, enrolment_id: str) -> None:
        self.world.asks("withdraw", enrolment_id=enrolment_id)
        if enrolment_id not in self.world.enrolments:
            raise not_found(f"enrolment {enrolment_id!r}")
        self.world.enrolments[enrolment_id]["state"] = "closed"


class FakeProjects(ProjectsApi):
    def __init__(self, world: World) -> None:
        self.world = world

    async def ask(self, host: str, question: str, *, wait_s: float) -> Job:
        self.world.asks(question, host=host)
        return self.world.submit(
            host, {"projects": "LIST_PROJECTS"}.get(question, "HEALTH_CHECK"), None
        )

    async def ask_project(self, host: str, project: str, question: str, *, wait_s: float) -> Job:
        self.world.asks(question, host=host, project=project)
        return self.world.submit(
            host, {"status": "STATUS"}.get(question, "LIST_REVISIONS"), project
        )

    async def plan(
        self, host: str, project: str, content: Mapping[str, Any], *, wait_s: float
    ) -> Job:
        self.world.asks("plan", host=host, project=project, content=content)
        return self.world.submit(host, "PLAN_COMPOSE", project)

    async def stop(self, host: str, project: str, terms: Mapping[str, Any]) -> Job:
        self.world.asks("stop", host=host, project=project, terms=terms)
        return self.world.submit(host, "STOP_COMPOSE", project)

    async def restart(
        self, host: str, project: str, services: Sequence[str], terms: Mapping[str, Any]
    ) -> Job:
        self.world.asks("restart", host=host, project=project, services=services)
        return self.world.submit(host, "RESTART_COMPOSE", project)

    async def roll_back(
        self, host: str, project: str, revision: int | None, terms: Mapping[str, Any]
    ) -> Job:
        self.world.asks("rollback", host=host, project=project, revision=revision)
        return self.world.submit(host, "ROLLBACK_COMPOSE", project)

    async def remove(
        self, host: str, project: str, terms: Mapping[str, Any], *, volumes: bool
    ) -> Job:
        self.world.asks("remove", host=host, project=project, volumes=volumes)
        return self.world.submit(host, "REMOVE_COMPOSE", project)

    async def history(self, host: str, project: str, *, limit: int) -> list[Job]:
        found = [job for job in self.world.jobs.values() if job["project"] == project]
        return found[::-1][:limit]


class FakeJobs(JobsApi):
    def __init__(self, world: World) -> None:
        self.world = world

    async def listed(self, query: Parameters = (), *, limit: int | None = None) -> list[Job]:
        self.world.asks("jobs", query=list(query))
        wanted = dict(query)
        found = [
            job
            for job in self.world.jobs.values()
            if wanted.get("deployment") in (None, job["deployment_id"])
            and wanted.get("host") in (None, job["host"])
        ]
        return found[::-1][:limit]

    async def show(self, job_id: str) -> Job:
        return self.world.job(job_id)

    async def cancel(self, job_id: str) -> Job:
        self.world.asks("cancel", job=job_id)
        job = self.world.job(job_id)
        if not job["over"]:
            job["state"] = "canceling"
        return job

    def follow(
        self, job_id: str, *, troubled: Trouble = lambda _: None, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[FeedEvent, None]:
        job = self.world.job(job_id)
        return self.world.feed(
            [job], lambda: {"state": job["state"], "jobs_by_state": {job["state"]: 1}}
        )


class FakeDeployments(DeploymentsApi):
    def __init__(self, world: World) -> None:
        self.world = world

    async def create(self, body: Mapping[str, Any], *, key: str | None = None) -> Deployment:
        self.world.asks("deploy", **body)
        if key is not None and key in self.world.keys:
            return self.world.deployments[self.world.keys[key]]
        if not body["compose"]:
            raise Refused(
                422, "invalid_input", "compose: must have services",
                errors=[FieldError("compose", "must have services")],
            )  # fmt: skip
        labels = body.get("host_labels") or {}
        names = body.get("hosts") or [
            name for name, host in sorted(self.world.hosts.items())
            if labels.items() <= host["labels"].items()
        ]  # fmt: skip
        deployment_id = f"dep_{next(self.world.numbers):03}"
        for name in names:
            self.world.host(name)
        jobs = [
            self.world.submit(name, "DEPLOY_COMPOSE", body["project"], deployment_id)
            for name in names
        ]
        made: Deployment = {
            "id": deployment_id, "project": body["project"], "state": "running", "jobs_by_state": {},
            "hosts": list(body.get("hosts") or ()), "host_labels": labels, "digest": "0" * 64,
            "content": {}, "created_at": AT, "requested_by": "ann", "redeploy_of": None,
            "jobs": jobs, "jobs_next": None,
        }  # fmt: skip
        self.world.deployments[deployment_id] = made
        if key is not None:
            self.world.keys[key] = deployment_id
        return self.world.refresh(made)

    async def show(self, deployment_id: str) -> Deployment:
        if deployment_id not in self.world.deployments:
            raise not_found(f"deployment {deployment_id}")
        return self.world.refresh(self.world.deployments[deployment_id])

    async def content(self, deployment_id: str) -> DeployedContent:
        if deployment_id not in self.world.contents:
            raise not_found(f"content of deployment {deployment_id}")
        return self.world.contents[deployment_id]

    async def cancel(self, deployment_id: str) -> Deployment:
        self.world.asks("cancel", deployment=deployment_id)
        return await self.show(deployment_id)

    def follow(
        self,
        deployment_id: str,
        *,
        troubled: Trouble = lambda _: None,
        patience_s: float = PATIENCE_S,
    ) -> AsyncGenerator[FeedEvent, None]:
        made = self.world.deployments[deployment_id]

        def end() -> dict[str, Any]:
            found = self.world.refresh(made)
            return {"state": found["state"], "jobs_by_state": found["jobs_by_state"]}

        return self.world.feed(made["jobs"], end)


def fake_client(world: World, token: str | None = TOKEN) -> ApiClient:
    return ApiClient(
        session=FakeSession(world, token),
        hosts=FakeHosts(world),
        projects=FakeProjects(world),
        jobs=FakeJobs(world),
        deployments=FakeDeployments(world),
        users=FakeUsers(world),
        tokens=FakeTokens(world),
        audit=FakeAudit(world),
    )


@contextlib.asynccontextmanager
async def connect_to(
    world: World, url: str, token: str | None, ca_file: Path | None
) -> AsyncIterator[ApiClient]:
    world.connections.append((url, token, ca_file))
    yield fake_client(world, token)
