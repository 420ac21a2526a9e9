"""The control plane's wiring: constructors only. What has a lifetime is entered in `serving`.

The annotation `Provider[Port]` is where mypy proves that an adapter is the port it is used as. The
database is a dependency: it is open before anything here is made.
"""

from __future__ import annotations

from dependency_injector import containers, providers

from adapters.clock.system import SystemClock
from adapters.identity.cryptography_keys import CryptographyEd25519
from adapters.identity.keys_on_disk import LocalSigner
from adapters.secrets.cipher import KeyFileCipher
from adapters.secrets.passwords import Argon2Passwords
from adapters.secrets.randomness import SystemRandomness
from adapters.storage.audit import SqlAuditTrail
from adapters.storage.database import Database
from adapters.storage.hosts import SqlHostDirectory
from adapters.storage.jobs import SqlJobStore
from adapters.storage.people import SqlPeople
from adapters.websocket.hub import AgentHub
from adapters.wire.stored_commands import WireCommands
from application.control_plane.access import Access
from application.control_plane.api_tokens import ApiTokens
from application.control_plane.auditing import Auditing
from application.control_plane.chores import Chores, Retention
from application.control_plane.clones import Clones
from application.control_plane.delivery_times import DeliveryTimes
from application.control_plane.deployments import Deployments
from application.control_plane.doorkeeper import Doorkeeper
from application.control_plane.enrolments import Enrolments
from application.control_plane.figures import Measuring
from application.control_plane.following import Following
from application.control_plane.happenings import Happenings
from application.control_plane.hosts import Hosts
from application.control_plane.jobs import Jobs
from application.control_plane.link_tools import Crew, LinkTools, Trouble
from application.control_plane.logins import Logins
from application.control_plane.opening_stage import Checks
from application.control_plane.openings import Openings
from application.control_plane.payloads import Payloads
from application.control_plane.presence import LiveHosts
from application.control_plane.reaching import Reaching
from application.control_plane.reception import AgentReception
from application.control_plane.reports import Reports
from application.control_plane.sessions import Sessions
from application.control_plane.submitting import Notice, Submitting, UsualTtls
from application.control_plane.users import Users
from application.control_plane.welcoming import Welcoming
from application.ports.agent_link import Reception
from application.ports.audit_trail import AuditTrail
from application.ports.clock import Clock
from application.ports.command_codec import CommandCodec
from application.ports.host_directory import HostDirectory
from application.ports.identity import Signer
from application.ports.job_store import JobStore
from application.ports.password_hasher import PasswordHasher
from application.ports.payload_cipher import PayloadCipher
from application.ports.people import People
from application.ports.randomness import Randomness
from entrypoints.control_plane.agent_file import AgentFile
from entrypoints.control_plane.rest.metrics import Metrics
from entrypoints.control_plane.rest.parts import Parts
from entrypoints.control_plane.settings import ControlPlaneSettings
from entrypoints.control_plane.token_reset import TokenReset

SIGNER_FILE = "identity.json"
PAYLOAD_KEY_FILE = "payload.key"
DATABASE_FILE = "control-plane.db"
AGENT_FILE = "agent"


def _directory(database: Database) -> SqlHostDirectory:
    return database.hosts


def _store(database: Database) -> SqlJobStore:
    return database.jobs


def _people(database: Database) -> SqlPeople:
    return database.people


def _audit(database: Database) -> SqlAuditTrail:
    return database.audit


def _signer(settings: ControlPlaneSettings) -> LocalSigner:
    return LocalSigner(settings.state_dir / SIGNER_FILE, CryptographyEd25519())


def _cipher(settings: ControlPlaneSettings) -> KeyFileCipher:
    return KeyFileCipher(settings.state_dir / PAYLOAD_KEY_FILE)


def _access(
    settings: ControlPlaneSettings, people: People, randomness: Randomness, clock: Clock
) -> Access:
    token = settings.metrics_token
    return Access(
        people=people,
        randomness=randomness,
        clock=clock,
        metrics_token=None if token is None else token.get_secret_value(),
    )


def _enrolments(
    settings: ControlPlaneSettings, directory: HostDirectory, randomness: Randomness, clock: Clock
) -> Enrolments:
    return Enrolments(
        directory=directory, randomness=randomness, clock=clock, ttl_s=settings.enrolment_ttl
    )


def _times(clock: Clock, metrics: Metrics) -> DeliveryTimes:
    return DeliveryTimes(clock, metrics.delivered)


def _ttls(settings: ControlPlaneSettings) -> UsualTtls:
    return UsualTtls(change_s=settings.change_ttl, read_s=settings.read_ttl)


def _retention(settings: ControlPlaneSettings) -> Retention:
    return Retention(kept_s=settings.retention_days * 24 * 3600)


def _link_tools(
    settings: ControlPlaneSettings,
    store: JobStore,
    payloads: Payloads,
    clock: Clock,
    happenings: Happenings,
    times: DeliveryTimes,
) -> LinkTools:
    return LinkTools(
        store=store,
        payloads=payloads,
        clock=clock,
        tell=happenings.tell,
        arrived=times.arrived,
        heartbeat_s=settings.heartbeat,
        trouble=Trouble(clock),
    )


def _crew(tools: LinkTools) -> Crew:
    return tools.crew


def _checks(welcoming: Welcoming) -> Checks:
    return Checks(enrol=welcoming.enrol, welcome=welcoming.welcome)


def _hub(settings: ControlPlaneSettings, reception: Reception) -> AgentHub:
    return AgentHub(reception, heartbeat_s=settings.heartbeat, trusted=settings.proxies)


def _parts(
    settings: ControlPlaneSettings,
    database: Database,
    signer: Signer,
    cipher: PayloadCipher,
    **parts: object,
) -> Parts:
    async def check_ready() -> None:
        # Opened, it has this version's tables; now it has to answer.
        await database.people.token_with("")

    return Parts(
        check_ready=check_ready,
        control_plane_key=signer.public_key,
        fingerprint=cipher.fingerprint,
        agent_file=AgentFile(settings.agent_file or settings.state_dir / AGENT_FILE),
        public_url=settings.public_url or "",
        ca_pem=settings.ca_pem(),
        **parts,  # type: ignore[arg-type]
    )


class ControlPlaneContainer(containers.DeclarativeContainer):
    """Needs `settings`, and `database`, which is open."""

    settings: providers.Dependency[ControlPlaneSettings] = providers.Dependency(
        instance_of=ControlPlaneSettings
    )
    database: providers.Dependency[Database] = providers.Dependency(instance_of=Database)

    clock: providers.Provider[Clock] = providers.Singleton(SystemClock)
    randomness: providers.Provider[Randomness] = providers.Singleton(SystemRandomness)
    codec: providers.Provider[CommandCodec] = providers.Singleton(WireCommands)
    cipher: providers.Provider[PayloadCipher] = providers.Singleton(_cipher, settings)
    signer: providers.Provider[Signer] = providers.Singleton(_signer, settings)
    directory: providers.Provider[HostDirectory] = providers.Callable(_directory, database)
    store: providers.Provider[JobStore] = providers.Callable(_store, database)
    people: providers.Provider[People] = providers.Callable(_people, database)
    audit: providers.Provider[AuditTrail] = providers.Callable(_audit, database)
    passwords: providers.Provider[PasswordHasher] = providers.Singleton(Argon2Passwords)

    metrics: providers.Provider[Metrics] = providers.Singleton(Metrics)
    happenings: providers.Provider[Happenings] = providers.Singleton(Happenings)
    times: providers.Provider[DeliveryTimes] = providers.Singleton(_times, clock, metrics)
    payloads: providers.Provider[Payloads] = providers.Singleton(
        Payloads, codec=codec, cipher=cipher, store=store
    )

    link_tools: providers.Provider[LinkTools] = providers.Singleton(
        _link_tools, settings, store, payloads, clock, happenings, times
    )
    reports: providers.Provider[Reports] = providers.Singleton(Reports, directory, clock)
    clones: providers.Provider[Clones] = providers.Singleton(Clones, directory, clock)
    openings: providers.Provider[Openings] = providers.Singleton(Openings, clock)
    live_hosts: providers.Provider[LiveHosts] = providers.Singleton(
        LiveHosts,
        openings=openings,
        reports=reports,
        clones=clones,
        clock=clock,
        crew=providers.Callable(_crew, link_tools),
    )
    doorkeeper: providers.Provider[Doorkeeper] = providers.Singleton(
        Doorkeeper, directory=directory, signer=signer, randomness=randomness, clock=clock
    )
    welcoming: providers.Provider[Welcoming] = providers.Singleton(
        Welcoming,
        doorkeeper=doorkeeper,
        openings=openings,
        signer=signer,
        randomness=randomness,
        tools=link_tools,
    )
    reception: providers.Provider[Reception] = providers.Singleton(
        AgentReception,
        doorkeeper=doorkeeper,
        checks=providers.Callable(_checks, welcoming),
        live=live_hosts,
        tools=link_tools,
        signer=signer,
        randomness=randomness,
    )
    hub: providers.Provider[AgentHub] = providers.Singleton(_hub, settings, reception)

    access: providers.Provider[Access] = providers.Singleton(
        _access, settings, people, randomness, clock
    )
    sessions: providers.Provider[Sessions] = providers.Singleton(Sessions, access, clock)
    token_reset: providers.Provider[TokenReset] = providers.Singleton(
        TokenReset, settings.provided.state_dir, access, clock
    )
    reaching: providers.Provider[Reaching] = providers.Singleton(
        Reaching, directory=directory, store=store
    )
    auditing: providers.Provider[Auditing] = providers.Singleton(Auditing, audit=audit, clock=clock)
    logins: providers.Provider[Logins] = providers.Singleton(
        Logins,
        people=people,
        access=access,
        audit=audit,
        passwords=passwords,
        randomness=randomness,
        clock=clock,
    )
    users: providers.Provider[Users] = providers.Singleton(
        Users,
        people=people,
        access=access,
        passwords=passwords,
        randomness=randomness,
        clock=clock,
    )
    api_tokens: providers.Provider[ApiTokens] = providers.Singleton(
        ApiTokens, people=people, access=access, randomness=randomness, clock=clock
    )
    enrolments: providers.Provider[Enrolments] = providers.Singleton(
        _enrolments, settings, directory, randomness, clock
    )
    hosts: providers.Provider[Hosts] = providers.Singleton(
        Hosts,
        directory=directory,
        enrolments=enrolments,
        links=live_hosts,
        happenings=happenings,
        clock=clock,
    )
    submitting: providers.Provider[Submitting] = providers.Singleton(
        Submitting,
        directory=directory,
        store=store,
        payloads=payloads,
        notice=providers.Singleton(Notice, live_hosts, happenings, times),
        randomness=randomness,
        clock=clock,
        ttls=providers.Singleton(_ttls, settings),
    )
    jobs: providers.Provider[Jobs] = providers.Singleton(
        Jobs,
        directory=directory,
        store=store,
        links=live_hosts,
        happenings=happenings,
        clock=clock,
    )
    deployments: providers.Provider[Deployments] = providers.Singleton(
        Deployments, store=store, submitting=submitting, payloads=payloads, jobs=jobs
    )
    following: providers.Provider[Following] = providers.Singleton(
        Following, store=store, happenings=happenings, clock=clock
    )
    measuring: providers.Provider[Measuring] = providers.Singleton(
        Measuring, store=store, links=live_hosts, happenings=happenings, clock=clock
    )
    chores: providers.Provider[Chores] = providers.Singleton(
        Chores,
        store=store,
        directory=directory,
        people=people,
        happenings=happenings,
        clock=clock,
        retention=providers.Singleton(_retention, settings),
    )
    parts: providers.Provider[Parts] = providers.Singleton(
        _parts,
        settings,
        database,
        signer,
        cipher,
        access=access,
        api_tokens=api_tokens,
        auditing=auditing,
        logins=logins,
        reaching=reaching,
        users=users,
        sessions=sessions,
        enrolments=enrolments,
        hosts=hosts,
        submitting=submitting,
        deployments=deployments,
        jobs=jobs,
        following=following,
        measuring=measuring,
        metrics=metrics,
        clock=clock,
    )
