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
from typing import Any

from dependency_injector import containers, providers

from adapters.clock.system import SystemClock
from adapters.compose.process import ProcessRunner
from adapters.compose.sh_runtime import ShComposeRuntime
from adapters.compose.supervised import SupervisedComposeExecutor
from adapters.engine.client import SocketEngine
from adapters.engine.containers import SocketContainerNames
from adapters.filesystem.project_files import LocalProjectFiles
from adapters.host.local import LocalHost
from adapters.host.network import NetlinkChanges
from adapters.host.systemd import SystemdServiceManager
from adapters.journal.durable_journal import DurableJobJournal
from adapters.yaml.bounded_reader import BoundedYamlReader
from application.agent.admission import Admission
from application.agent.agent import Agent
from application.agent.check_health import CheckHealthHandler
from application.agent.connection import Connection
from application.agent.deploy_compose import DeployComposeHandler
from application.agent.dispatch import Dispatcher
from application.agent.get_status import GetStatusHandler
from application.agent.handling import Deadlines
from application.agent.job_book import JobBook
from application.agent.leftovers import Leftovers
from application.agent.live_output import LiveOutput
from application.agent.outbox import Outbox
from application.agent.plain_link import PlainServing
from application.agent.room import DispatchLimits
from application.agent.sequenced_link import SequencedServing
from application.agent.steps import StepTools
from application.agent.stop_compose import StopComposeHandler
from application.agent.vital_signs import VitalSigns
from application.ports.clock import Clock
from application.ports.compose_executor import ComposeExecutor
from application.ports.compose_reader import ComposeReader
from application.ports.compose_runtime import ComposeRuntime
from application.ports.container_names import ContainerNames
from application.ports.engine import Engine
from application.ports.host import Host, HostFacts
from application.ports.job_journal import JobJournal
from application.ports.network_changes import NetworkChanges
from application.ports.project_files import ProjectFiles
from application.ports.service_manager import ServiceManager
from application.ports.transport import Transport
from domain.backoff import no_jitter, reconnect_delays
from domain.commands import CheckHealth, DeployCompose, GetStatus, StopCompose
from entrypoints.agent.settings import AgentSettings
from entrypoints.agent.transports import make_transport
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


def _container_names(settings: AgentSettings) -> SocketContainerNames:
    return SocketContainerNames(settings.docker_host)


def _journal(settings: AgentSettings, executor: Executor) -> DurableJobJournal:
    return DurableJobJournal(settings.state_dir, executor)


def random_text() -> str:
    """32 hexadecimal digits that nobody can guess, and that never come twice."""
    return secrets.token_hex(16)


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
    transport: providers.Provider[Transport] = providers.Singleton(
        make_transport, settings, host_facts
    )

    compose_executor: providers.Provider[ComposeExecutor] = providers.Singleton(
        _compose_executor, settings, executor
    )
    container_names: providers.Provider[ContainerNames] = providers.Singleton(
        _container_names, settings
    )
    journal: providers.Provider[JobJournal] = providers.Singleton(_journal, settings, executor)
    network: providers.Provider[NetworkChanges] = providers.Singleton(NetlinkChanges)

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
        new_token=providers.Object(random_text),
    )
    deadlines: providers.Provider[Deadlines] = providers.Singleton(_deadlines, settings)
    handlers: providers.Provider[dict[Any, Any]] = providers.Dict(
        {
            DeployCompose: providers.Singleton(
                DeployComposeHandler,
                files=project_files,
                reader=compose_reader,
                runtime=compose_runtime,
                engine=engine,
                deadlines=deadlines,
            ),
            StopCompose: providers.Singleton(
                StopComposeHandler,
                files=project_files,
                runtime=compose_runtime,
                deadlines=deadlines,
            ),
            GetStatus: providers.Singleton(
                GetStatusHandler,
                files=project_files,
                runtime=compose_runtime,
                clock=clock,
                deadlines=deadlines,
            ),
            CheckHealth: providers.Singleton(
                CheckHealthHandler,
                host=host,
                engine=engine,
                runtime=compose_runtime,
                book=book,
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
        Admission, book=book, dispatcher=dispatcher, outbox=outbox, clock=clock
    )
    plain: providers.Provider[PlainServing] = providers.Singleton(
        PlainServing, book=book, admission=admission, outbox=outbox, clock=clock
    )
    vital_signs: providers.Provider[VitalSigns] = providers.Singleton(
        VitalSigns, book=book, host=host, engine=engine, clock=clock
    )
    sequenced: providers.Provider[SequencedServing] = providers.Singleton(
        SequencedServing,
        book=book,
        admission=admission,
        live=live,
        clock=clock,
        host=host,
        new_nonce=providers.Object(random_text),
        spread=providers.Object(full_jitter),
        vital_signs=vital_signs,
    )
    connection: providers.Provider[Connection] = providers.Singleton(
        Connection,
        transport=transport,
        plain=plain,
        sequenced=sequenced,
        network=network,
        clock=clock,
        delays=providers.Callable(backoff_of, settings),
        spread=providers.Object(full_jitter),
    )
    service_manager: providers.Provider[ServiceManager] = providers.Singleton(
        SystemdServiceManager, os.environ
    )
    leftovers: providers.Provider[Leftovers] = providers.Singleton(
        Leftovers, book=book, executor=compose_executor, live=live
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
