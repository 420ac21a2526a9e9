"""The real command handlers, wired to a simulated machine as the container wires them to a real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from application.agent.check_health import CheckHealthHandler
from application.agent.deploy_compose import DeployComposeHandler
from application.agent.get_status import GetStatusHandler
from application.agent.going_back import GoingBack
from application.agent.handling import Deadlines
from application.agent.images import ProjectImages
from application.agent.job_book import JobBook
from application.agent.project_judge import ProjectJudge
from application.agent.revisions import RevisionFiles
from application.agent.rollback_compose import RollbackComposeHandler
from application.agent.rollout import Rollout
from application.agent.stop_compose import StopComposeHandler
from application.ports.clock import Clock
from domain.commands import CheckHealth, DeployCompose, GetStatus, RollbackCompose, StopCompose
from domain.policy import PERMISSIVE, HostPlaces
from tests.fakes.host import FakeHost
from tests.fakes.host_paths import FakeHostPaths
from tests.simulation.compose import SimulatedReader, SimulatedRuntime
from tests.simulation.engine import SimulatedEngine
from tests.simulation.keeping import Reach

DEADLINES: Final = Deadlines(
    check_s=10,
    deploy_s=30,
    wait_s=6,
    settle_s=0.3,
    engine_s=8,
    stop_s=20,
    status_s=10,
    health_s=5,
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the handlers of one process work on."""

    engine: SimulatedEngine
    reach: Reach
    runtime: SimulatedRuntime
    book: JobBook
    clock: Clock


def handlers_on(machine: Machine) -> dict[type, Callable[..., Any]]:
    """By command."""
    engine, reach, clock, runtime = machine.engine, machine.reach, machine.clock, machine.runtime
    files, store = reach.files, reach.store
    judge = ProjectJudge(
        files=files,
        reader=SimulatedReader(),
        runtime=runtime,
        paths=FakeHostPaths(),
        policy=PERMISSIVE,
        places=HostPlaces(),
        clock=clock,
        deadlines=DEADLINES,
    )
    images = ProjectImages(state=engine, deadlines=DEADLINES)
    rollout = Rollout(state=engine, clock=clock, deadlines=DEADLINES)
    revisions = RevisionFiles(store=store, files=files, state=engine, clock=clock)
    going_back = GoingBack(
        judge=judge,
        revisions=revisions,
        store=store,
        files=files,
        images=images,
        rollout=rollout,
        deadlines=DEADLINES,
    )
    return {
        DeployCompose: DeployComposeHandler(
            judge=judge,
            images=images,
            rollout=rollout,
            going_back=going_back,
            revisions=revisions,
            store=store,
            files=files,
            logins=reach.logins,
            runtime=runtime,
            engine=engine,
            clock=clock,
            deadlines=DEADLINES,
        ),
        RollbackCompose: RollbackComposeHandler(
            going_back=going_back,
            revisions=revisions,
            store=store,
            rollout=rollout,
            runtime=runtime,
            engine=engine,
            deadlines=DEADLINES,
        ),
        StopCompose: StopComposeHandler(
            files=files, store=store, runtime=runtime, deadlines=DEADLINES
        ),
        GetStatus: GetStatusHandler(
            files=files,
            store=store,
            state=engine,
            book=machine.book,
            clock=clock,
            deadlines=DEADLINES,
        ),
        CheckHealth: CheckHealthHandler(
            host=FakeHost(),
            engine=engine,
            runtime=runtime,
            book=machine.book,
            policy=PERMISSIVE,
            clock=clock,
            deadlines=DEADLINES,
        ),
    }
