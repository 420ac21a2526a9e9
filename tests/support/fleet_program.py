"""The control plane's end of links on a database in memory: all of it but sockets and the API."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Sequence

from adapters.wire.stored_commands import WireCommands
from application.control_plane.clones import Clones
from application.control_plane.doorkeeper import Doorkeeper
from application.control_plane.link_tools import LinkTools, Trouble
from application.control_plane.opening_stage import Checks
from application.control_plane.openings import Openings
from application.control_plane.payloads import Payloads
from application.control_plane.presence import LiveHosts
from application.control_plane.reception import AgentReception
from application.control_plane.reports import Reports
from application.control_plane.welcoming import Welcoming
from application.ports.clock import Clock
from application.ports.identity import Signer
from application.ports.job_store import Submission
from domain.commands import COMMAND_NAMES, Command, project_of
from domain.errors import StorageUnavailable
from domain.fleet.host import Credential, Enrolment, EnrolmentId, Host, HostId, HostName
from domain.fleet.job import FleetJob, FleetJobState
from domain.fleet.labels import NO_LABELS
from domain.identity import token_hash_of
from tests.builders import stop
from tests.fakes.fleet_store import FakeFleet
from tests.fakes.identity import FakeKeys

TOKEN = "a-token-that-must-not-be-seen"


class OpenCipher:
    """A `PayloadCipher` that hides nothing, and notices another context."""

    def seal(self, content: bytes, context: str) -> bytes:
        return json.dumps([context, base64.b64encode(content).decode()]).encode()

    def open(self, sealed: bytes, context: str) -> bytes:
        found, content = json.loads(sealed)
        if found != context:
            raise StorageUnavailable("it was sealed in another context")
        return base64.b64decode(content)

    def fingerprint(self, content: bytes) -> str:
        return base64.b64encode(content).decode()


class Counting:
    """A `Randomness` that anybody can guess."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):06}"

    def token(self) -> str:
        return f"token-{next(self._numbers):020}"


class FleetProgram:
    """Give another one the same `fleet` to have the program start again on its database."""

    def __init__(
        self,
        clock: Clock,
        fleet: FakeFleet | None = None,
        *,
        signer: Signer | None = None,
        heartbeat_s: float = 30.0,
    ) -> None:
        self.clock = clock
        self.fleet = FakeFleet() if fleet is None else fleet
        self.signer = signer or FakeKeys("control plane")
        self.told: list[str] = []
        self.arrived: list[str] = []
        self.randomness = Counting()
        self.payloads = Payloads(codec=WireCommands(), cipher=OpenCipher(), store=self.fleet.jobs)
        self.tools = LinkTools(
            store=self.fleet.jobs,
            payloads=self.payloads,
            clock=clock,
            tell=self._tell,
            arrived=self.arrived.append,
            heartbeat_s=heartbeat_s,
            trouble=Trouble(clock),
        )
        openings = Openings(clock)
        self.live = LiveHosts(
            openings=openings,
            reports=Reports(self.fleet.hosts, clock),
            clones=Clones(self.fleet.hosts, clock),
            clock=clock,
            crew=self.tools.crew,
        )
        self.doorkeeper = Doorkeeper(
            directory=self.fleet.hosts,
            signer=self.signer,
            randomness=self.randomness,
            clock=clock,
        )
        welcoming = Welcoming(
            doorkeeper=self.doorkeeper,
            openings=openings,
            signer=self.signer,
            randomness=self.randomness,
            tools=self.tools,
        )
        self.reception = AgentReception(
            doorkeeper=self.doorkeeper,
            checks=Checks(welcoming.enrol, welcoming.welcome),
            live=self.live,
            tools=self.tools,
            signer=self.signer,
            randomness=self.randomness,
        )

    def _tell(self, job_ids: Sequence[str]) -> None:
        self.told.extend(job_ids)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FleetProgram]:
        """Let it run; leaving cancels it, as a program that is killed after its last commit."""
        ready = asyncio.Event()
        task = asyncio.create_task(self.live.run(ready.set), name="the control plane's links")
        await ready.wait()
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    # What operators do.

    async def add_host(self, name: str = "web-1", token: str = TOKEN) -> Host:
        """A host that uses a token."""
        host = Host(
            HostId(f"host-{name}"), HostName(name), NO_LABELS, Credential.TOKEN, self._now()
        )
        await self.fleet.hosts.add(host, token_hash_of(token))
        return host

    async def add_enrolment(self, token: str, name: str = "web-2") -> Enrolment:
        """Leave to become a host."""
        now = self._now()
        enrolment = Enrolment(
            EnrolmentId(f"enrolment-{name}"), HostName(name), NO_LABELS, now, now + 600.0, "a test"
        )
        await self.fleet.hosts.add_enrolment(enrolment, token_hash_of(token))
        return enrolment

    async def submit(
        self,
        host: Host,
        command: Command | None = None,
        *,
        deadline_s: float | None = None,
        expires_at: float | None = None,
    ) -> FleetJob:
        """Keep a command for a host, and wake its link."""
        command = command or stop()
        job_id = self.randomness.new_id("job")
        kind, payload = self.payloads.sealed(command, job_id)
        assert kind == COMMAND_NAMES[type(command)]
        project = project_of(command)
        job = FleetJob(
            id=job_id,
            host_id=host.id,
            kind=kind,
            project=None if project is None else project.value,
            state=FleetJobState.QUEUED,
            created_at=self._now(),
            requested_by="a test",
            deadline_s=deadline_s,
            expires_at=expires_at,
        )
        await self.fleet.jobs.submit(Submission(jobs=(job,), payload=payload))
        self.live.wake(host.id)
        return job

    async def cancel(self, job: FleetJob) -> None:
        """Ask for a job's end."""
        await self.fleet.jobs.request_cancel(job.id, self._now())
        self.live.wake(job.host_id)

    async def job(self, job: FleetJob) -> FleetJob:
        """The job as it is now."""
        return await self.fleet.jobs.job(job.id)

    def _now(self) -> float:
        return self.clock.now().timestamp()
