"""A control plane's API, as far as a fleet needs it: hosts, deployments, and what it says of its jobs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import h11

from tests.fleet.checking import PlaneJob
from tests.fleet.identity import HostKey
from tests.fleet.memory import Memory
from tests.fleet.plane_http import PlaneHttp, Reply

API: Final = "/api/v1"
COMPOSE: Final = "services:\n  web:\n    image: example\n"
PAGE: Final = 500
PATIENCE_S: Final = 30.0
AWAY_S: Final = 0.1
AT_ONCE: Final = 32
"""How many requests are under way when there are many to make."""


class Refused(Exception):
    """The API said no; `status` is HTTP's, `problem` what it said."""

    def __init__(self, what: str, reply: Reply) -> None:
        super().__init__(f"{what}: HTTP {reply.status}: {reply.content[:500]!r}")
        self.status = reply.status
        self.problem = reply.content


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """What a feed tells; `number` is 0 of what has none."""

    name: str
    data: dict[str, Any]
    number: int = 0


class PlaneApi:
    """With the administrator's token. An async context manager.

    Where it says that there is too much to do at the moment, it is asked again: so often was that, says
    `busy`. So is a deployment that is not answered, as by one that was killed: under the same key.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        tls: ssl.SSLContext | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.http = PlaneHttp(url, token=token, tls=tls)
        self.busy = 0
        self._patience_s = patience_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.http.close()

    async def get(self, path: str) -> Any:
        """What is there; raises `Refused`."""
        return await self._ask("GET", path)

    async def post(self, path: str, body: object | None = None) -> Any:
        """What comes of it; raises `Refused`."""
        return await self._ask("POST", path, body)

    async def _ask(self, method: str, path: str, body: object | None = None) -> Any:
        headers = {"Idempotency-Key": secrets.token_hex(16)} if path == "/deployments" else {}
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                reply = await self.http.ask(method, API + path, body, headers)
            except (OSError, h11.ProtocolError):
                if not headers or time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(AWAY_S)
                continue
            if reply.status != 503 or time.monotonic() >= deadline:
                break
            self.busy += 1
            await asyncio.sleep(float(reply.headers.get("retry-after", "0.5")))
        if not 200 <= reply.status < 300:
            raise Refused(f"{method} {path}", reply)
        return reply.json()

    async def is_ready(self) -> bool:
        """Whether it serves; False, too, where nobody listens."""
        try:
            return (await self.http.ask("GET", "/readyz")).status == 200
        except (OSError, h11.ProtocolError):
            return False

    # Hosts.

    async def enrolled(self, name: str, labels: dict[str, str] | None = None) -> Memory:
        """What an agent begins with that is to become this host: a key of its own, and a token."""
        made = await self.post("/enrolments", {"name": name, "labels": labels or {}})
        return Memory(enrolment_token=made["token"], secret_key=HostKey.new().secret.hex())

    async def with_token(self, name: str, labels: dict[str, str] | None = None) -> Memory:
        """What the agent of a host with a bearer token begins with."""
        made = await self.post("/hosts", {"name": name, "labels": labels or {}})
        return Memory(bearer_token=made["token"], host_id=made["host"]["id"])

    async def memories(
        self, names: Sequence[str], labels: dict[str, str], *, are_enrolled: bool
    ) -> list[Memory]:
        """For many at once, in their order."""
        make = self.enrolled if are_enrolled else self.with_token
        free = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> Memory:
            async with free:
                return await make(name, labels)

        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(one(name), name=f"making {name}") for name in names]
        return [task.result() for task in made]

    # Deployments and jobs.

    async def deploy(
        self,
        project: str,
        *,
        hosts: Sequence[str] = (),
        labels: dict[str, str] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Deploy something; the deployment with its jobs."""
        body: dict[str, Any] = {"project": project, "compose": COMPOSE, **more}
        body |= {"hosts": list(hosts)} if hosts else {"host_labels": labels or {}}
        made: dict[str, Any] = await self.post("/deployments", body)
        return made

    async def jobs(self, query: str = "") -> AsyncIterator[dict[str, Any]]:
        """All jobs, the newest first."""
        after = ""
        while True:
            page = await self.get(f"/jobs?limit={PAGE}{query}{after}")
            for job in page["items"]:
                yield job
            if page["next"] is None:
                return
            after = f"&after={page['next']}"

    async def hosts(self) -> AsyncIterator[dict[str, Any]]:
        """All hosts."""
        after = ""
        while True:
            page = await self.get(f"/hosts?limit={PAGE}{after}")
            for host in page["items"]:
                yield host
            if page["next"] is None:
                return
            after = f"&after={page['next']}"

    async def plane_jobs(self, query: str = "", *, with_output: bool = False) -> list[PlaneJob]:
        """What it says of its jobs, as the checker takes it; `query` is as of `jobs`."""
        told = [job async for job in self.jobs(query)]
        free = asyncio.Semaphore(AT_ONCE)

        async def one(job: dict[str, Any]) -> PlaneJob:
            output = None
            if with_output:
                async with free:
                    output = await self.output(job["id"])
            return PlaneJob(
                job["id"], job["host_id"], job["kind"], job["state"], job["reason"], output
            )

        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(one(job), name=f"reading {job['id']}") for job in told]
        return [task.result() for task in made]

    async def output(self, job_id: str) -> dict[str, tuple[int, str]]:
        """How much a job has printed, and its SHA-256; simulated hosts print at one step."""
        reply = await self.http.ask("GET", f"{API}/jobs/{job_id}/output?raw=true")
        if reply.status != 200:
            raise Refused(job_id, reply)
        content = reply.content
        if not content:
            return {}
        return {"all": (len(content), hashlib.sha256(content).hexdigest())}

    async def follow(self, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The events of a feed, from its beginning to its end: name and data."""
        async for event in self.events(path):
            yield event.name, event.data

    async def events(self, path: str, after: int = 0) -> AsyncIterator[FeedEvent]:
        """The events of a feed behind the one with that number, as they come."""
        async with self.http.stream(f"{API}{path}?after={after}") as pieces:
            rest = b""
            async for piece in pieces:
                *events, rest = (rest + piece).split(b"\n\n")
                for event in events:
                    fields = dict(
                        line.split(b": ", 1) for line in event.split(b"\n") if b": " in line
                    )
                    if b"data" in fields:
                        data = json.loads(fields[b"data"])
                        yield FeedEvent(fields[b"event"].decode(), data, int(fields.get(b"id", 0)))
