"""The agent's wiring: constructors only. What has a lifetime is entered in `__main__`.

The annotation `Provider[Port]` is where mypy proves that an adapter is the port it is used as.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dependency_injector import containers, providers

from adapters.clock.system import SystemClock
from adapters.compose.process import ProcessRunner
from adapters.compose.sh_runtime import ShComposeRuntime
from adapters.compose.state import ComposeEngineState
from adapters.compose.supervised import SupervisedComposeExecutor
from adapters.engine.client import SocketEngine
from adapters.engine.containers import SocketContainerNames
from adapters.engine.fallback import FallbackEngineState
from adapters.engine.state import SocketEngineState
from adapters.filesystem.private_parts import LocalPrivateParts
from adapters.filesystem.project_files import LocalProjectFiles
from adapters.filesystem.registry_logins import LocalRegistryLogins
from adapters.filesystem.revision_store import LocalRevisionStore
from adapters.host.local import LocalHost
from adapters.host.network import NetlinkChanges
from adapters.host.paths import LocalHostPaths
from adapters.host.systemd import SystemdServiceManager
from adapters.identity.ed25519 import Ed25519, NoEd25519, find_ed25519
from adapters.identity.keys_on_disk import LocalHostIdentity
from adapters.journal.durable_journal import DurableJobJournal
from adapters.policy_file import DEFAULT_POLICY_FILE, load_policy
from adapters.yaml.reader import BoundedYamlReader
from application.agent.admission import Admission
from application.agent.agent import Agent
from application.agent.check_health import CheckHealthHandler
from application.agent.connection import Connection
from application.agent.credential import BearerToken, Credential, HostKey, introducing
from application.agent.deploy_compose import DeployComposeHandler
from application.agent.dispatch import Dispatcher
from application.agent.get_status import GetStatusHandler
from application.agent.going_back import GoingBack
from application.agent.handling import Deadlines
from application.agent.images import ProjectImages
from application.agent.job_book import JobBook
from application.agent.leftovers import Leftovers
from application.agent.list_projects import ListProjectsHandler
from application.agent.list_revisions import ListRevisionsHandler
from application.agent.live_output import LiveOutput
from application.agent.outbox import Outbox
from application.agent.plain_link import PlainServing
from application.agent.plan_compose import PlanComposeHandler
from application.agent.project_judge import ProjectJudge
from application.agent.registry_check import RegistryCheck
from application.agent.remove_compose import RemoveComposeHandler
from application.agent.restart_compose import RestartComposeHandler
from application.agent.revisions import RevisionFiles
from application.agent.rollback_compose import RollbackComposeHandler
from application.agent.rollout import Rollout
from application.agent.room import DispatchLimits
from application.agent.sequenced_link import SequencedServing
from application.agent.step_plan import StepTools
from application.agent.stop_compose import StopComposeHandler
from application.agent.vital_signs import VitalSigns
from application.ports.clock import Clock
from application.ports.compose_executor import ComposeExecutor
from application.ports.compose_reader import ComposeReader
from application.ports.compose_runtime import ComposeRuntime
from application.ports.container_names import ContainerNames
from application.ports.engine import Engine
from application.ports.engine_state import EngineState
from application.ports.host import Host, HostFacts
from application.ports.host_paths import HostPaths
from application.ports.identity import HostIdentity
from application.ports.job_journal import JobJournal
from application.ports.network_changes import NetworkChanges
from application.ports.private_parts import PrivateParts
from application.ports.project_files import ProjectFiles
from application.ports.registry_logins import RegistryLogins
from application.ports.revision_store import RevisionStore
from application.ports.service_manager import ServiceManager
from application.ports.transport import Transport
from domain.backoff import no_jitter, reconnect_delays
from domain.commands import (
    CheckHealth,
    DeployCompose,
    GetStatus,
    ListProjects,
    ListRevisions,
    PlanCompose,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
    StopCompose,
)
from domain.errors import InvalidInput
from domain.policy import HostPlaces, Policy
from domain.proving import Introduction
from entrypoints.agent.settings import AgentSettings, Identification
from entrypoints.agent.transports import make_transport
from entrypoints.configuration import SettingsError
from entrypoints.job_runner.location import runner_command
from entrypoints.version import VERSION

BLOCKING_THREADS = 4
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


def compose_environment(settings: AgentSettings, inherited: Mapping[str, str]) -> dict[str, str]:
    """All that `docker compose` gets to see.

    Nothing else of the agent's environment: Compose puts what it sees wherever a compose file asks
    for it.
    """
    environment = {
        "PATH": inherited.get("PATH", os.defpath),
        "HOME": inherited.get("HOME", str(settings.state_dir)),
        "DOCKER_HOST": settings.docker_host,
    }
    if settings.docker_config is not None:
        environment["DOCKER_CONFIG"] = str(settings.docker_config)
    for name in (*_PROXY_VARIABLES, *(name.lower() for name in _PROXY_VARIABLES)):
        if name in inherited:
            environment[name] = inherited[name]
    return environment


def full_jitter(delay: float) -> float:
    """Anything between nothing and the delay, so that a fleet does not come back all at once."""
    return random.uniform(0.0, delay)  # noqa: S311 - spreads load, guards nothing


def backoff_of(settings: AgentSettings) -> Callable[[], Iterator[float]]:
    """Makes a fresh series of reconnect delays."""
    return partial(reconnect_delays, jitter=full_jitter if settings.reconnect_jitter else no_jitter)


def _deadlines(settings: AgentSettings) -> Deadlines:
    return Deadlines(
        check_s=settings.check_timeout,
        deploy_s=settings.deploy_timeout,
        wait_s=settings.wait_timeout,
        settle_s=settings.settle_time,
        engine_s=settings.engine_timeout,
        stop_s=settings.stop_timeout,
        status_s=settings.status_timeout,
        health_s=settings.health_timeout,
    )


def _limits(settings: AgentSettings) -> DispatchLimits:
    return DispatchLimits(open_jobs=settings.max_queued, running_projects=settings.max_parallel)


def _project_files(settings: AgentSettings, executor: Executor) -> LocalProjectFiles:
    return LocalProjectFiles(
        str(settings.projects_dir), private=settings.private_projects, executor=executor
    )


def _process_runner(settings: AgentSettings) -> ProcessRunner:
    return ProcessRunner(compose_environment(settings, os.environ))


def _compose_executor(settings: AgentSettings, executor: Executor) -> SupervisedComposeExecutor:
    return SupervisedComposeExecutor(
        settings.state_dir / "runs",
        settings.lock_dir,
        docker_host=settings.docker_host,
        environment=compose_environment(settings, os.environ),
        executor=executor,
        runner=runner_command(),
    )


def _revision_store(settings: AgentSettings, executor: Executor) -> LocalRevisionStore:
    return LocalRevisionStore(settings.state_dir, executor, kept=settings.kept_revisions)


def _private_parts(settings: AgentSettings, executor: Executor) -> LocalPrivateParts:
    return LocalPrivateParts(settings.state_dir, executor)


def _registry_logins(settings: AgentSettings, executor: Executor) -> LocalRegistryLogins:
    home = compose_environment(settings, os.environ)["HOME"]
    host_config = settings.docker_config or Path(home, ".docker")
    return LocalRegistryLogins(settings.state_dir, executor, host_config=host_config)


def _engine_state(settings: AgentSettings, runner: ProcessRunner) -> FallbackEngineState:
    return FallbackEngineState(SocketEngineState(settings.docker_host), ComposeEngineState(runner))


def _policy(settings: AgentSettings) -> Policy:
    try:
        return load_policy(settings.policy_file)
    except InvalidInput as exc:
        raise SettingsError([str(exc)]) from None


def _host_places(settings: AgentSettings) -> HostPlaces:
    """What no compose file may reach by a side door."""
    own = [settings.state_dir, settings.lock_dir]
    own.append((settings.policy_file or DEFAULT_POLICY_FILE).parent)
    address = urlsplit(settings.docker_host)
    sockets = [Path(address.path)] if address.scheme == "unix" else []
    return HostPlaces(
        agent_directories=_spelled_and_real(own), engine_sockets=_spelled_and_real(sockets)
    )


def _spelled_and_real(paths: list[Path]) -> tuple[str, ...]:
    """Under both names: a compose file may use either."""
    return tuple(dict.fromkeys(str(one) for path in paths for one in (path, path.resolve())))


def _container_names(settings: AgentSettings) -> SocketContainerNames:
    return SocketContainerNames(settings.docker_host)


def _journal(settings: AgentSettings, executor: Executor) -> DurableJobJournal:
    return DurableJobJournal(settings.state_dir, executor)


def random_text() -> str:
    """32 hexadecimal digits that nobody can guess, and that never come twice."""
    return secrets.token_hex(16)


def _identification(settings: AgentSettings) -> Identification:
    return settings.identification()


def _ed25519(identification: Identification) -> Ed25519 | None:
    if identification.bearer_token is not None:
        return None
    try:
        return find_ed25519()
    except NoEd25519 as exc:
        raise SettingsError([f"AGENT_ENROLL_TOKEN: {exc}"]) from None


def _identity(
    settings: AgentSettings, ed25519: Ed25519 | None, executor: Executor
) -> HostIdentity | None:
    """To be called while nobody else uses the state directory: it makes the key."""
    if ed25519 is None:
        return None
    try:
        return LocalHostIdentity(settings.state_dir, ed25519, executor)
    except InvalidInput as exc:
        raise SettingsError([f"AGENT_STATE_DIR: {exc}"]) from None


def _credential(identification: Identification, identity: HostIdentity | None) -> Credential:
    if identity is None:
        return BearerToken()
    token = identification.enroll_token
    return HostKey(
        identity,
        token="" if token is None else token.get_secret_value(),
        pin=identification.control_plane_key,
    )


def _plain(credential: Credential, serving: Callable[[], PlainServing]) -> PlainServing | None:
    return None if credential.needs_v2 else serving()


def _engine(settings: AgentSettings) -> SocketEngine:
    return SocketEngine(settings.docker_host)


def _host_facts(host: Host) -> HostFacts:
    return host.facts()


class AgentContainer(containers.DeclarativeContainer):
    """Give it `settings`; take `agent` from it inside a running event loop."""

    settings: providers.Dependency[AgentSettings] = providers.Dependency(instance_of=AgentSettings)

    clock: providers.Provider[Clock] = providers.Singleton(SystemClock)
    executor: providers.Provider[Executor] = providers.Singleton(
        ThreadPoolExecutor, max_workers=BLOCKING_THREADS, thread_name_prefix="blocking"
    )
    host: providers.Provider[Host] = providers.Singleton(
        LocalHost, VERSION, settings.provided.state_dir
    )
    host_facts: providers.Provider[HostFacts] = providers.Callable(_host_facts, host)
    engine: providers.Provider[Engine] = providers.Singleton(_engine, settings)
    process_runner: providers.Provider[ProcessRunner] = providers.Singleton(
        _process_runner, settings
    )
    compose_runtime: providers.Provider[ComposeRuntime] = providers.Singleton(
        ShComposeRuntime, process_runner
    )
    project_files: providers.Provider[ProjectFiles] = providers.Singleton(
        _project_files, settings, executor
    )
    compose_reader: providers.Provider[ComposeReader] = providers.Singleton(
        BoundedYamlReader, executor
    )
    identification: providers.Provider[Identification] = providers.Singleton(
        _identification, settings
    )
    ed25519: providers.Provider[Ed25519 | None] = providers.Singleton(_ed25519, identification)
    identity: providers.Provider[HostIdentity | None] = providers.Singleton(
        _identity, settings, ed25519, executor
    )
    credential: providers.Provider[Credential] = providers.Singleton(
        _credential, identification, identity
    )
    transport: providers.Provider[Transport] = providers.Singleton(
        make_transport, settings, identification, host_facts
    )

    compose_executor: providers.Provider[ComposeExecutor] = providers.Singleton(
        _compose_executor, settings, executor
    )
    container_names: providers.Provider[ContainerNames] = providers.Singleton(
        _container_names, settings
    )
    journal: providers.Provider[JobJournal] = providers.Singleton(_journal, settings, executor)
    network: providers.Provider[NetworkChanges] = providers.Singleton(NetlinkChanges)

    revision_store: providers.Provider[RevisionStore] = providers.Singleton(
        _revision_store, settings, executor
    )
    private_parts: providers.Provider[PrivateParts] = providers.Singleton(
        _private_parts, settings, executor
    )
    registry_logins: providers.Provider[RegistryLogins] = providers.Singleton(
        _registry_logins, settings, executor
    )
    engine_state: providers.Provider[EngineState] = providers.Singleton(
        _engine_state, settings, process_runner
    )
    host_paths: providers.Provider[HostPaths] = providers.Singleton(LocalHostPaths, executor)
    policy: providers.Provider[Policy] = providers.Singleton(_policy, settings)
    host_places: providers.Provider[HostPlaces] = providers.Singleton(_host_places, settings)

    book: providers.Provider[JobBook] = providers.Singleton(
        JobBook, journal=journal, clock=clock, new_epoch=providers.Object(random_text)
    )
    live: providers.Provider[LiveOutput] = providers.Singleton(LiveOutput)
    step_tools: providers.Provider[StepTools] = providers.Singleton(
        StepTools,
        book=book,
        executor=compose_executor,
        names=container_names,
        engine=engine,
        clock=clock,
        live=live,
        private=private_parts,
        new_token=providers.Object(random_text),
    )
    deadlines: providers.Provider[Deadlines] = providers.Singleton(_deadlines, settings)
    judge: providers.Provider[ProjectJudge] = providers.Singleton(
        ProjectJudge,
        files=project_files,
        reader=compose_reader,
        runtime=compose_runtime,
        paths=host_paths,
        policy=policy,
        places=host_places,
        clock=clock,
        deadlines=deadlines,
    )
    images: providers.Provider[ProjectImages] = providers.Singleton(
        ProjectImages, state=engine_state, deadlines=deadlines
    )
    rollout: providers.Provider[Rollout] = providers.Singleton(
        Rollout, state=engine_state, clock=clock, deadlines=deadlines
    )
    revisions: providers.Provider[RevisionFiles] = providers.Singleton(
        RevisionFiles, store=revision_store, files=project_files, state=engine_state, clock=clock
    )
    going_back: providers.Provider[GoingBack] = providers.Singleton(
        GoingBack,
        judge=judge,
        revisions=revisions,
        store=revision_store,
        files=project_files,
        images=images,
        rollout=rollout,
        deadlines=deadlines,
    )
    registries: providers.Provider[RegistryCheck] = providers.Singleton(
        RegistryCheck,
        logins=registry_logins,
        runtime=compose_runtime,
        clock=clock,
        deadlines=deadlines,
    )
    handlers: providers.Provider[dict[Any, Any]] = providers.Dict(
        {
            DeployCompose: providers.Singleton(
                DeployComposeHandler,
                judge=judge,
                images=images,
                rollout=rollout,
                going_back=going_back,
                revisions=revisions,
                store=revision_store,
                files=project_files,
                registries=registries,
                runtime=compose_runtime,
                clock=clock,
                deadlines=deadlines,
            ),
            PlanCompose: providers.Singleton(
                PlanComposeHandler,
                judge=judge,
                images=images,
                rollout=rollout,
                revisions=revisions,
                state=engine_state,
                files=project_files,
                runtime=compose_runtime,
                clock=clock,
            ),
            RollbackCompose: providers.Singleton(
                RollbackComposeHandler,
                going_back=going_back,
                revisions=revisions,
                store=revision_store,
                rollout=rollout,
                runtime=compose_runtime,
                engine=engine,
                deadlines=deadlines,
            ),
            RestartCompose: providers.Singleton(
                RestartComposeHandler,
                judge=judge,
                revisions=revisions,
                rollout=rollout,
                files=project_files,
                runtime=compose_runtime,
                deadlines=deadlines,
            ),
            StopCompose: providers.Singleton(
                StopComposeHandler,
                files=project_files,
                store=revision_store,
                runtime=compose_runtime,
                deadlines=deadlines,
            ),
            RemoveCompose: providers.Singleton(
                RemoveComposeHandler,
                revisions=revisions,
                store=revision_store,
                files=project_files,
                runtime=compose_runtime,
                deadlines=deadlines,
            ),
            GetStatus: providers.Singleton(
                GetStatusHandler,
                files=project_files,
                store=revision_store,
                state=engine_state,
                book=book,
                clock=clock,
                deadlines=deadlines,
            ),
            ListProjects: providers.Singleton(
                ListProjectsHandler,
                files=project_files,
                store=revision_store,
                state=engine_state,
                book=book,
                clock=clock,
                deadlines=deadlines,
            ),
            ListRevisions: providers.Singleton(ListRevisionsHandler, revisions=revisions),
            CheckHealth: providers.Singleton(
                CheckHealthHandler,
                host=host,
                engine=engine,
                runtime=compose_runtime,
                book=book,
                policy=policy,
                credential=credential,
                clock=clock,
                deadlines=deadlines,
            ),
        }
    )

    outbox: providers.Provider[Outbox] = providers.Singleton(Outbox)
    limits: providers.Provider[DispatchLimits] = providers.Singleton(_limits, settings)
    dispatcher: providers.Provider[Dispatcher] = providers.Singleton(
        Dispatcher,
        handlers=handlers,
        book=book,
        tools=step_tools,
        results=outbox,
        clock=clock,
        limits=limits,
    )
    admission: providers.Provider[Admission] = providers.Singleton(
        Admission,
        book=book,
        dispatcher=dispatcher,
        outbox=outbox,
        clock=clock,
        private=private_parts,
        policy=policy,
    )
    plain: providers.Provider[PlainServing | None] = providers.Singleton(
        _plain,
        credential,
        providers.Factory(
            PlainServing, book=book, admission=admission, outbox=outbox, clock=clock
        ).provider,
    )
    introduce: providers.Provider[Callable[[], Introduction]] = providers.Singleton(
        introducing, host, providers.Object(random_text)
    )
    vital_signs: providers.Provider[VitalSigns] = providers.Singleton(
        VitalSigns, book=book, host=host, engine=engine, clock=clock
    )
    sequenced: providers.Provider[SequencedServing] = providers.Singleton(
        SequencedServing,
        book=book,
        admission=admission,
        credential=credential,
        live=live,
        clock=clock,
        introduce=introduce,
        spread=providers.Object(full_jitter),
        vital_signs=vital_signs,
    )
    service_manager: providers.Provider[ServiceManager] = providers.Singleton(
        SystemdServiceManager, os.environ
    )
    connection: providers.Provider[Connection] = providers.Singleton(
        Connection,
        transport=transport,
        plain=plain,
        sequenced=sequenced,
        network=network,
        manager=service_manager,
        clock=clock,
        delays=providers.Callable(backoff_of, settings),
        spread=providers.Object(full_jitter),
    )
    leftovers: providers.Provider[Leftovers] = providers.Singleton(
        Leftovers,
        book=book,
        executor=compose_executor,
        live=live,
        private=private_parts,
        logins=registry_logins,
    )
    agent: providers.Provider[Agent] = providers.Singleton(
        Agent,
        book=book,
        admission=admission,
        dispatcher=dispatcher,
        connection=connection,
        leftovers=leftovers,
        outbox=outbox,
        clock=clock,
        manager=service_manager,
    )
