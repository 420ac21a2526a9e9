"""The command handlers, wired to parts in memory as the container wires them to real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from application.agent.check_health import CheckHealthHandler
from application.agent.credential import BearerToken
from application.agent.deploy_compose import DeployComposeHandler
from application.agent.get_status import GetStatusHandler
from application.agent.going_back import GoingBack
from application.agent.handling import Deadlines
from application.agent.images import ProjectImages
from application.agent.job_book import JobBook
from application.agent.list_projects import ListProjectsHandler
from application.agent.list_revisions import ListRevisionsHandler
from application.agent.plan_compose import PlanComposeHandler
from application.agent.project_judge import ProjectJudge
from application.agent.registry_check import RegistryCheck
from application.agent.remove_compose import RemoveComposeHandler
from application.agent.restart_compose import RestartComposeHandler
from application.agent.revisions import RevisionFiles
from application.agent.rollback_compose import RollbackComposeHandler
from application.agent.rollout import Rollout
from application.agent.stop_compose import StopComposeHandler
from application.ports.clock import Clock
from application.ports.compose_reader import ComposeReader
from application.ports.compose_runtime import ComposeRuntime
from application.ports.engine import Engine
from application.ports.engine_state import EngineState
from application.ports.host import Host
from application.ports.host_paths import HostPaths
from application.ports.project_files import ProjectFiles
from application.ports.registry_logins import RegistryLogins
from application.ports.revision_store import RevisionStore
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
from domain.policy import HostPlaces, Policy

DEADLINES = Deadlines(
    check_s=60,
    deploy_s=1800,
    wait_s=300,
    settle_s=0,
    engine_s=120,
    stop_s=300,
    status_s=30,
    health_s=5,
)
"""A container that runs is taken for well at once, so that no time has to pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What they work on."""

    files: ProjectFiles
    store: RevisionStore
    logins: RegistryLogins
    reader: ComposeReader
    runtime: ComposeRuntime
    state: EngineState
    engine: Engine
    host: Host
    paths: HostPaths
    clock: Clock
    policy: Policy
    places: HostPlaces


class Handlers:
    """Those of one agent; `by_command` has them as the dispatcher wants them."""

    def __init__(self, parts: Parts, book: JobBook, deadlines: Deadlines = DEADLINES) -> None:
        files, runtime, clock = parts.files, parts.runtime, parts.clock
        store, state, engine = parts.store, parts.state, parts.engine
        self.judge = ProjectJudge(
            files=files,
            reader=parts.reader,
            runtime=runtime,
            paths=parts.paths,
            policy=parts.policy,
            places=parts.places,
            clock=clock,
            deadlines=deadlines,
        )
        self.images = ProjectImages(state=state, deadlines=deadlines)
        self.rollout = Rollout(state=state, clock=clock, deadlines=deadlines)
        self.revisions = RevisionFiles(store=store, files=files, state=state, clock=clock)
        self.going_back = GoingBack(
            judge=self.judge,
            revisions=self.revisions,
            store=store,
            files=files,
            images=self.images,
            rollout=self.rollout,
            deadlines=deadlines,
        )
        self.deploy = DeployComposeHandler(
            judge=self.judge,
            images=self.images,
            rollout=self.rollout,
            going_back=self.going_back,
            revisions=self.revisions,
            store=store,
            files=files,
            registries=RegistryCheck(
                logins=parts.logins, runtime=runtime, clock=clock, deadlines=deadlines
            ),
            runtime=runtime,
            clock=clock,
            deadlines=deadlines,
        )
        self.plan = PlanComposeHandler(
            judge=self.judge,
            images=self.images,
            rollout=self.rollout,
            revisions=self.revisions,
            state=state,
            files=files,
            runtime=runtime,
            clock=clock,
        )
        self.rollback = RollbackComposeHandler(
            going_back=self.going_back,
            revisions=self.revisions,
            store=store,
            rollout=self.rollout,
            runtime=runtime,
            engine=engine,
            deadlines=deadlines,
        )
        self.restart = RestartComposeHandler(
            judge=self.judge,
            revisions=self.revisions,
            rollout=self.rollout,
            files=files,
            runtime=runtime,
            deadlines=deadlines,
        )
        self.stop = StopComposeHandler(
            files=files, store=store, runtime=runtime, deadlines=deadlines
        )
        self.remove = RemoveComposeHandler(
            revisions=self.revisions, store=store, files=files, runtime=runtime, deadlines=deadlines
        )
        self.status = GetStatusHandler(
            files=files, store=store, state=state, book=book, clock=clock, deadlines=deadlines
        )
        self.projects = ListProjectsHandler(
            files=files, store=store, state=state, book=book, clock=clock, deadlines=deadlines
        )
        self.history = ListRevisionsHandler(revisions=self.revisions)
        self.health = CheckHealthHandler(
            host=parts.host,
            engine=engine,
            runtime=runtime,
            book=book,
            policy=parts.policy,
            credential=BearerToken(),
            clock=clock,
            deadlines=deadlines,
        )
        self.by_command: dict[type[Any], Callable[..., Any]] = {
            DeployCompose: self.deploy,
            PlanCompose: self.plan,
            RollbackCompose: self.rollback,
            RestartCompose: self.restart,
            StopCompose: self.stop,
            RemoveCompose: self.remove,
            GetStatus: self.status,
            ListProjects: self.projects,
            ListRevisions: self.history,
            CheckHealth: self.health,
        }
