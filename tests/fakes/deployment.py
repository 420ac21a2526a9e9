"""One host in memory: what the command handlers are given, put together."""

from __future__ import annotations

from application.agent.check_health import CheckHealthHandler
from application.agent.deploy_compose import DeployComposeHandler
from application.agent.get_status import GetStatusHandler
from application.agent.handling import Deadlines
from application.agent.stop_compose import StopComposeHandler
from tests.fakes.clock import FakeClock
from tests.fakes.compose_reader import FakeComposeReader
from tests.fakes.compose_runtime import FakeComposeRuntime
from tests.fakes.engine import FakeEngine
from tests.fakes.host import FakeHost
from tests.fakes.project_files import FakeProjectFiles

DEADLINES = Deadlines(check_s=60, deploy_s=1800, stop_s=300, status_s=30, health_s=5)


class FakeDeployment:
    """A host with an engine, Compose and a disk, and the handlers that work on it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.engine = FakeEngine()
        self.files = FakeProjectFiles()
        self.host = FakeHost()
        self.reader = FakeComposeReader()
        self.runtime = FakeComposeRuntime(self.files.read)
        self.deploy = DeployComposeHandler(
            files=self.files,
            reader=self.reader,
            runtime=self.runtime,
            engine=self.engine,
            clock=self.clock,
            deadlines=DEADLINES,
        )
        self.stop = StopComposeHandler(
            files=self.files, runtime=self.runtime, clock=self.clock, deadlines=DEADLINES
        )
        self.status = GetStatusHandler(
            files=self.files, runtime=self.runtime, clock=self.clock, deadlines=DEADLINES
        )
        self.health = CheckHealthHandler(
            host=self.host,
            engine=self.engine,
            runtime=self.runtime,
            clock=self.clock,
            deadlines=DEADLINES,
        )
