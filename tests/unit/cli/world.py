"""What a control plane in memory keeps, and what becomes of jobs there."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from adapters.api_client.documents import (
    AccessToken,
    AuditEntry,
    DeployedContent,
    Deployment,
    Enrolment,
    Grant,
    Host,
    Job,
    Result,
    User,
)
from adapters.api_client.errors import Refused
from adapters.api_client.feed import FeedEvent

NOW = 1_800_000_000.0
AT = "2027-01-15T08:00:00Z"
"""`NOW`, as the API has it."""
TOKEN = "ida_" + "t" * 43
OVER = ("succeeded", "failed", "canceled", "expired", "superseded")

Ending = Callable[[Job], tuple[str, Result]]
"""How a job ends; its state stays open where that is none that is over."""


def result(error: str = "", logs: str = "", **data: Any) -> Result:
    return {"logs": logs, "error": error, "data": data, "output": []}


def succeeding(job: Job) -> tuple[str, Result]:
    return "succeeded", result(revision=3, steps=[{"step": "apply", "state": "ok", "seconds": 1.5}])


def not_found(what: str) -> Refused:
    return Refused(404, "not_found", f"there is no {what}")


@dataclass
class World:
    """All that the fake keeps. `endings` are by host; `events` what a job's feed tells before its end."""

    install_url: str | None = None
    pin: str | None = "sha256//" + "A" * 43 + "="
    pin_fails_with: Exception | None = None
    hosts: dict[str, Host] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    contents: dict[str, DeployedContent] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, AccessToken] = field(default_factory=dict)
    audit: list[AuditEntry] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    endings: dict[str, Ending] = field(default_factory=dict)
    events: dict[str, list[FeedEvent]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    connections: list[tuple[str, str | None, Path | None]] = field(default_factory=list)
    enrolments: dict[str, Enrolment] = field(default_factory=dict)
    is_set_up: bool = False
    fails_with: Exception | None = None
    hangs: bool = False
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def add_host(self, name: str, *, ends: Ending | None = None, **labels: str) -> Host:
        host: Host = {
            "id": f"host_{name}", "name": name, "labels": labels, "credential": "key",
            "public_key": "sha256:ab", "created_at": AT, "revoked_at": None,
            "clone_suspected_at": None, "online": True, "connected_at": AT, "last_seen_at": AT,
            "version": "1.0.0", "architecture": "linux-amd64", "hostname": name,
            "address": "192.0.2.7", "facts": {}, "protocol": 2, "delivery": "exactly_once",
            "cancel": True, "live_output": True,
        }  # fmt: skip
        self.hosts[name] = host
        if ends is not None:
            self.endings[name] = ends
        return host

    def host(self, name: str) -> Host:
        for host in self.hosts.values():
            if name in (host["name"], host["id"]):
                return host
        raise not_found(f"host {name!r}")

    def add_user(self, name: str, *grants: dict[str, Any]) -> User:
        user: User = {
            "id": f"user_{name}", "name": name, "grants": cast(list[Grant], list(grants)),
            "has_password": True, "is_disabled": False, "created_at": AT,
        }  # fmt: skip
        self.users[name] = user
        return user

    def user(self, name: str) -> User:
        if name not in self.users:
            raise not_found(f"user {name!r}")
        return self.users[name]

    def add_token(self, name: str, user: str, **more: Any) -> AccessToken:
        token: AccessToken = {
            "id": f"tok_{next(self.numbers)}", "user": user, "name": name, "kind": "api",
            "role": None, "labels": {}, "created_at": AT, "expires_at": None, "last_used_at": None,
        }  # fmt: skip
        token.update(more)  # type: ignore[typeddict-item]
        self.tokens[token["id"]] = token
        return token

    def submit(
        self, host: str, kind: str, project: str | None, deployment: str | None = None
    ) -> Job:
        """A job, which is over at once where its ending says so."""
        found = self.host(host)
        job: Job = {
            "id": f"job_{next(self.numbers):03}", "host_id": found["id"], "host": found["name"],
            "kind": kind, "project": project, "deployment_id": deployment, "state": "running",
            "delivery": "arrived", "over": False, "reason": "", "error": "", "superseded_by": None,
            "requested_by": "ann", "created_at": AT, "expires_at": None, "sent_at": AT,
            "accepted_at": AT, "started_at": AT, "finished_at": None, "cancel_requested_at": None,
            "deadline_s": None, "result": None,
        }  # fmt: skip
        self.jobs[job["id"]] = job
        state, ended = self.endings.get(found["name"], succeeding)(job)
        job["state"], job["over"] = state, state in OVER
        if job["over"]:
            job["result"], job["error"] = ended, ended["error"]
            job["finished_at"] = "2027-01-15T08:00:05Z"
            if state != "succeeded":
                job["reason"] = str(ended["data"].get("reason", state))
        return job

    def job(self, job_id: str) -> Job:
        if job_id not in self.jobs:
            raise not_found(f"job {job_id}")
        return self.jobs[job_id]

    def refresh(self, deployment: Deployment) -> Deployment:
        states = [self.jobs[job["id"]]["state"] for job in deployment["jobs"]]
        tally = {state: states.count(state) for state in states}
        if not all(state in OVER for state in states):
            state = "running"
        elif set(states) == {"succeeded"}:
            state = "succeeded"
        else:
            state = "partial" if "succeeded" in states else "failed"
        deployment["state"], deployment["jobs_by_state"] = state, tally
        return deployment

    def asks(self, what: str, **how: Any) -> None:
        self.asked.append((what, how))
        if self.fails_with is not None:
            raise self.fails_with

    async def feed(
        self, jobs: Sequence[Job], end: Callable[[], Any]
    ) -> AsyncGenerator[FeedEvent, None]:
        for job in jobs:
            yield FeedEvent("state", {"job_id": job["id"], "at": AT, "state": "running"}, 1)
            for event in self.events.get(str(job["host"]), ()):
                yield FeedEvent(
                    event.name, {"job_id": job["id"], "at": AT, **event.data}, 2, event.content
                )
            if job["over"]:
                yield FeedEvent("state", {"job_id": job["id"], "at": AT, "state": job["state"]}, 3)
        if not all(job["over"] for job in jobs):
            await asyncio.Event().wait()
        yield FeedEvent("end", end())
