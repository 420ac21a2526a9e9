"""The control plane's use cases and its API on fakes: a fleet in memory, and links that only remember."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from adapters.wire.stored_commands import WireCommands
from application.control_plane.access import Access
from application.control_plane.api_tokens import ApiTokens
from application.control_plane.auditing import Auditing
from application.control_plane.delivery_times import DeliveryTimes
from application.control_plane.deployments import Deployments
from application.control_plane.enrolments import Enrolments
from application.control_plane.figures import Measuring
from application.control_plane.following import Following
from application.control_plane.happenings import Happenings
from application.control_plane.hosts import Hosts
from application.control_plane.jobs import Jobs
from application.control_plane.logins import Logins
from application.control_plane.payloads import Payloads
from application.control_plane.reaching import Reaching
from application.control_plane.sessions import Sessions
from application.control_plane.submitting import Notice, Submitting, Terms, UsualTtls
from application.control_plane.users import Users
from domain.errors import StorageUnavailable
from domain.fleet.access import EVERYTHING, Grant, Principal
from domain.fleet.audit import Noted
from domain.fleet.host import Host, HostId
from domain.fleet.link_state import Heard, Recorded
from domain.fleet.people import AccessToken, TokenId, TokenKind, UserName
from domain.link_messages import OutputChunk, SequencedSaid
from entrypoints.control_plane.agent_file import AgentFile
from entrypoints.control_plane.rest.metrics import Metrics
from entrypoints.control_plane.rest.parts import Parts
from tests.contracts.fleet import a_host, a_key_host, hashed
from tests.fakes.clock import FakeClock
from tests.fakes.fleet_store import FakeFleet
from tests.fakes.host_links import FakeHostLinks

ADMIN = "ida_" + "a" * 43
METRICS_TOKEN = "m" * 40
KEY = "A" * 43 + "="
BY = Principal("user_1", "ann", EVERYTHING, hashed(ADMIN), "tok_1", "192.0.2.7")
NOTED = Noted(at=0.0, user="ann", action="test")


class CountedRandomness:
    """Ids and tokens that are the same each time a test runs."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):026d}"

    def token(self) -> str:
        return f"{next(self._numbers):043d}"


class PlainCipher:
    """Seals by writing the context in front: what matters is whether it is the same."""

    def seal(self, content: bytes, context: str) -> bytes:
        return context.encode() + b"|" + content[::-1]

    def open(self, sealed: bytes, context: str) -> bytes:
        bound, _, content = sealed.partition(b"|")
        if bound.decode() != context:
            raise StorageUnavailable("it was sealed for something else")
        return content[::-1]

    def fingerprint(self, content: bytes) -> str:
        return hashed(repr(content))[:32]


class PlainPasswords:
    """Hashes by writing backwards."""

    def __init__(self) -> None:
        self.strangers = 0

    async def hash(self, password: str) -> str:
        return password[::-1]

    async def is_right(
        self, password: str, password_hash: str | None, *, is_stranger: bool
    ) -> bool:
        self.strangers += is_stranger
        return password_hash == password[::-1]


@dataclass
class ControlPlane:
    """Everything, and how agents and the API speak to it."""

    fleet: FakeFleet = field(default_factory=FakeFleet)
    links: FakeHostLinks = field(default_factory=FakeHostLinks)
    clock: FakeClock = field(default_factory=FakeClock)
    happenings: Happenings = field(default_factory=Happenings)
    metrics: Metrics = field(default_factory=Metrics)
    ttls: UsualTtls = field(default_factory=UsualTtls)
    public_url: str = ""
    agent_path: Path = Path("/nonexistent/agent")
    ca_pem: str = ""

    def __post_init__(self) -> None:
        fleet, clock, links = self.fleet, self.clock, self.links
        self.randomness = CountedRandomness()
        self._tokens = itertools.count()
        self.times = DeliveryTimes(clock, self.metrics.delivered)
        self.cipher = PlainCipher()
        self.payloads = Payloads(codec=WireCommands(), cipher=self.cipher, store=fleet.jobs)
        self.access = Access(
            people=fleet.people,
            randomness=self.randomness,
            clock=clock,
            metrics_token=METRICS_TOKEN,
        )
        self.auditing = Auditing(audit=fleet.audit, clock=clock)
        self.reaching = Reaching(directory=fleet.hosts, store=fleet.jobs)
        self.passwords = PlainPasswords()
        self.logins = Logins(
            people=fleet.people,
            access=self.access,
            audit=fleet.audit,
            passwords=self.passwords,
            randomness=self.randomness,
            clock=clock,
        )
        self.users = Users(
            people=fleet.people,
            access=self.access,
            passwords=self.passwords,
            randomness=self.randomness,
            clock=clock,
        )
        self.api_tokens = ApiTokens(
            people=fleet.people, access=self.access, randomness=self.randomness, clock=clock
        )
        self.sessions = Sessions(self.access, clock)
        self.enrolments = Enrolments(directory=fleet.hosts, randomness=self.randomness, clock=clock)
        self.hosts = Hosts(
            directory=fleet.hosts,
            enrolments=self.enrolments,
            links=links,
            happenings=self.happenings,
            clock=clock,
        )
        self.submitting = Submitting(
            directory=fleet.hosts,
            store=fleet.jobs,
            payloads=self.payloads,
            notice=Notice(links, self.happenings, self.times),
            randomness=self.randomness,
            clock=clock,
            ttls=self.ttls,
        )
        self.jobs = Jobs(
            directory=fleet.hosts,
            store=fleet.jobs,
            links=links,
            happenings=self.happenings,
            clock=clock,
        )
        self.deployments = Deployments(
            store=fleet.jobs, submitting=self.submitting, payloads=self.payloads, jobs=self.jobs
        )
        self.following = Following(store=fleet.jobs, happenings=self.happenings, clock=clock)
        self.agent_file = AgentFile(self.agent_path)
        self.measuring = Measuring(
            store=fleet.jobs, links=links, happenings=self.happenings, clock=clock
        )

    def parts(self) -> Parts:
        """What the API is made of."""
        return Parts(
            access=self.access,
            api_tokens=self.api_tokens,
            auditing=self.auditing,
            logins=self.logins,
            reaching=self.reaching,
            users=self.users,
            fingerprint=self.cipher.fingerprint,
            sessions=self.sessions,
            enrolments=self.enrolments,
            hosts=self.hosts,
            submitting=self.submitting,
            deployments=self.deployments,
            jobs=self.jobs,
            following=self.following,
            measuring=self.measuring,
            metrics=self.metrics,
            check_ready=self.check_ready,
            control_plane_key=KEY,
            agent_file=self.agent_file,
            clock=self.clock,
            public_url=self.public_url,
            ca_pem=self.ca_pem,
        )

    async def check_ready(self) -> None:
        """Ask the database anything."""
        await self.fleet.jobs.counts()

    async def with_administrator(self) -> None:
        """Have `ADMIN` be the administrator's token."""
        await self.access.adopt(hashed(ADMIN))

    async def add_user(self, name: str, *grants: Grant, scope: Grant | None = None) -> str:
        """A user with these grants; returns a token of theirs."""
        user = await self.users.add(UserName(name), grants, None, BY)
        token = f"ida_{name}_{next(self._tokens):040d}"
        known = AccessToken(
            TokenId(self.randomness.new_id("tok")),
            user.id,
            name,
            TokenKind.API,
            user.created_at,
            scope=scope,
        )
        await self.fleet.people.add_token(known, hashed(token), 100, NOTED, hashed(ADMIN))
        return token

    async def add_hosts(self, *names: str, **labels: str) -> list[Host]:
        """Hosts that use tokens, with these labels."""
        hosts = [a_host(name, **labels) for name in names]
        for host in hosts:
            await self.fleet.hosts.add(host, hashed(host.name.value))
        return hosts

    async def add_key_host(self, name: str) -> Host:
        """A host that was enrolled."""
        host = a_key_host(name, KEY)
        await self.fleet.hosts.add(host, hashed(name))
        return host

    async def hear(
        self,
        host_id: HostId,
        *messages: SequencedSaid | OutputChunk,
        running: Iterable[str] = (),
    ) -> Recorded:
        """Have the host's agent say this over v2: first it is sent all that is there for it."""
        at = self.clock.now().timestamp()
        await self.fleet.jobs.number(host_id, at)
        recorded = await self.fleet.jobs.record(Heard(host_id, at, messages, tuple(running)))
        self.happenings.tell(recorded.changed)
        return recorded


def terms(**more: object) -> Terms:
    """Ann's, as usual."""
    return Terms(by=BY, **more)  # type: ignore[arg-type]
