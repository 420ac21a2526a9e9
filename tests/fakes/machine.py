"""One host in memory: what outlives the agents that a test starts on it, one after another."""

from __future__ import annotations

import itertools

from application.agent.job_book import JobBook
from application.agent.live_output import LiveOutput
from application.agent.step_plan import StepTools
from domain.errors import RuntimeUnavailable
from domain.policy import PERMISSIVE, HostPlaces, Policy
from tests.fakes.clock import FakeClock
from tests.fakes.compose_executor import FakeComposeExecutor
from tests.fakes.compose_reader import FakeComposeReader
from tests.fakes.compose_runtime import FakeComposeRuntime
from tests.fakes.container_names import FakeContainerNames
from tests.fakes.engine import DOWN, FakeEngine
from tests.fakes.engine_state import FakeEngineState
from tests.fakes.handlers import Parts
from tests.fakes.host import FakeHost
from tests.fakes.host_paths import FakeHostPaths
from tests.fakes.job_journal import FakeDisk, FakeJobJournal
from tests.fakes.private_parts import FakePrivateParts
from tests.fakes.project_files import FakeProjectFiles
from tests.fakes.registry_logins import FakeRegistryLogins
from tests.fakes.revision_store import FakeRevisionStore


class FakeMachine:
    """A host with an engine, Compose, and disks. `tokens` counts the random texts it has given."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.disk = FakeDisk()
        self.engine = FakeEngine()
        self.files = FakeProjectFiles()
        self.host = FakeHost()
        self.reader = FakeComposeReader()
        self.state = FakeEngineState()
        self.runtime = FakeComposeRuntime(self.files.at, self.state, self.clock.monotonic)
        self.executor = FakeComposeExecutor(self.runtime, self.clock)
        self.names = FakeContainerNames(self.runtime)
        self.store = FakeRevisionStore()
        self.private = FakePrivateParts()
        self.logins = FakeRegistryLogins()
        self.paths = FakeHostPaths()
        self.policy: Policy = PERMISSIVE
        self.places = HostPlaces(
            agent_directories=("/state",), engine_sockets=("/run/engine.sock",)
        )
        self._tokens = itertools.count(1)

    @property
    def parts(self) -> Parts:
        """What an agent's handlers work on, as it is now."""
        return Parts(
            files=self.files,
            store=self.store,
            logins=self.logins,
            reader=self.reader,
            runtime=self.runtime,
            state=self.state,
            engine=self.engine,
            host=self.host,
            paths=self.paths,
            clock=self.clock,
            policy=self.policy,
            places=self.places,
        )

    def lose_engine(self) -> None:
        """Have the engine be down, for whoever asks it."""
        self.engine.is_down = True
        self.state.unavailable = RuntimeUnavailable(DOWN)

    def find_engine(self) -> None:
        """Have it be there again."""
        self.engine.is_down = False
        self.state.unavailable = None

    def token(self) -> str:
        """A text that never comes twice."""
        return f"{next(self._tokens):032x}"

    def book(self) -> JobBook:
        """The book of an agent that starts now; it has yet to be opened."""
        return JobBook(journal=FakeJobJournal(self.disk), clock=self.clock, new_epoch=self.token)

    def step_tools(self, book: JobBook, live: LiveOutput | None = None) -> StepTools:
        """What an agent's steps are made with."""
        return StepTools(
            book=book,
            executor=self.executor,
            names=self.names,
            engine=self.engine,
            clock=self.clock,
            live=LiveOutput() if live is None else live,
            private=self.private,
            new_token=self.token,
        )
