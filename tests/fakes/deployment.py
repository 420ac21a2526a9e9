"""The command handlers on a host in memory, each called as the dispatcher calls it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from application.agent.check_health import CheckHealthHandler
from application.agent.deploy_compose import DeployComposeHandler
from application.agent.get_status import GetStatusHandler
from application.agent.going_back import GoingBack
from application.agent.handling import Deadlines, Outcome
from application.agent.images import ProjectImages
from application.agent.job_book import JobBook
from application.agent.list_projects import ListProjectsHandler
from application.agent.list_revisions import ListRevisionsHandler
from application.agent.live_output import LiveOutput
from application.agent.plan_compose import PlanComposeHandler
from application.agent.project_judge import ProjectJudge
from application.agent.remove_compose import RemoveComposeHandler
from application.agent.restart_compose import RestartComposeHandler
from application.agent.revisions import RevisionFiles
from application.agent.rollback_compose import RollbackComposeHandler
from application.agent.rollout import Rollout
from application.agent.steps import JobSteps
from application.agent.stop_compose import StopComposeHandler
from domain.commands import (
    CHANGING_COMMANDS,
    ChangingCommand,
    CheckHealth,
    Command,
    DeployCompose,
    GetStatus,
    ListProjects,
    ListRevisions,
    PlanCompose,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
    StopCompose,
    digest_of,
    is_private,
    project_of,
    without_private,
)
from domain.policy import HostPlaces
from domain.records import JobAccepted
from tests.fakes.machine import FakeMachine

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

PLACES = HostPlaces(agent_directories=("/state",), engine_sockets=("/run/engine.sock",))


class Handlers:
    """Those of one agent on a machine; `by_command` has them as the dispatcher wants them."""

    def __init__(
        self, machine: FakeMachine, book: JobBook, deadlines: Deadlines = DEADLINES
    ) -> None:
        files, runtime, clock = machine.files, machine.runtime, machine.clock
        store, state, engine = machine.store, machine.state, machine.engine
        self.judge = ProjectJudge(
            files=files,
            reader=machine.reader,
            runtime=runtime,
            paths=machine.paths,
            policy=machine.policy,
            places=PLACES,
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
            logins=machine.logins,
            runtime=runtime,
            engine=engine,
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
            host=machine.host,
            engine=engine,
            runtime=runtime,
            book=book,
            policy=machine.policy,
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


class FakeDeployment(FakeMachine):
    """A machine, the handlers that work on it, and `do`, which makes jobs of commands."""

    def __init__(self, deadlines: Deadlines = DEADLINES) -> None:
        super().__init__()
        self._deadlines = deadlines
        self.live = LiveOutput()
        self.jobs = super().book()
        self._numbers = itertools.count(1)
        self._is_open = False
        self._agents_started = False
        self.handlers = Handlers(self, self.jobs, deadlines)

    def book(self) -> JobBook:
        """The handlers' own book for the first agent on this host, a new one for each that follows."""
        if self._agents_started:
            return super().book()
        self._agents_started = True
        return self.jobs

    def use(self, **ports: Any) -> None:
        """Have the handlers work with other parts of the machine from now on."""
        for name, port in ports.items():
            assert hasattr(self, name)
            setattr(self, name, port)
        self.handlers = Handlers(self, self.jobs, self._deadlines)

    async def do(self, command: Command, job_id: str | None = None) -> Outcome:
        """Carry a command out; the job's id is new, where none is given."""
        handler = self.handlers.by_command[type(command)]
        outcome: Outcome
        if not isinstance(command, CHANGING_COMMANDS):
            outcome = await handler(command)
            return outcome
        outcome = await handler(command, await self.steps(command, job_id))
        return outcome

    async def deploy(self, command: DeployCompose, job_id: str | None = None) -> Outcome:
        """Carry a deployment out."""
        return await self.do(command, job_id)

    async def stop(self, command: StopCompose, job_id: str | None = None) -> Outcome:
        """Carry a stop out."""
        return await self.do(command, job_id)

    async def status(self, command: GetStatus) -> Outcome:
        """Say how a project is."""
        return await self.do(command)

    async def health(self, command: CheckHealth) -> Outcome:
        """Say how the agent is."""
        return await self.do(command)

    async def steps(
        self, command: ChangingCommand, job_id: str | None = None, deadline: float | None = None
    ) -> JobSteps:
        """The steps of a job that is accepted now, or was before."""
        if not self._is_open:
            self._is_open = True
            await self.jobs.open()
        job_id = job_id or f"job-{next(self._numbers)}"
        project = project_of(command)
        assert project is not None
        await self.jobs.record(
            JobAccepted(
                job_id,
                without_private(command),
                digest_of(command),
                self.clock.since_boot(),
                is_private=is_private(command),
                project=project.compose_name,
            )
        )
        return JobSteps(job_id, deadline, self.step_tools(self.jobs, self.live))
