"""The real command handlers, on a simulated machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from application.agent.handling import Deadlines
from application.agent.job_book import JobBook
from application.ports.clock import Clock
from domain.policy import PERMISSIVE, HostPlaces
from tests.fakes.handlers import Handlers, Parts
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


def handlers_on(
    engine: SimulatedEngine, reach: Reach, runtime: SimulatedRuntime, book: JobBook, clock: Clock
) -> dict[type, Callable[..., Any]]:
    """Those of one process, by command."""
    parts = Parts(
        files=reach.files,
        store=reach.store,
        logins=reach.logins,
        reader=SimulatedReader(),
        runtime=runtime,
        state=engine,
        engine=engine,
        host=FakeHost(),
        paths=FakeHostPaths(),
        clock=clock,
        policy=PERMISSIVE,
        places=HostPlaces(),
    )
    return Handlers(parts, book, DEADLINES).by_command
