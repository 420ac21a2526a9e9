"""One process of the agent: the real one, wired to a simulated machine, until it is killed or ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from adapters.journal.durable_journal import DurableJobJournal
from application.agent.admission import Admission
from application.agent.agent import Agent
from application.agent.connection import Connection
from application.agent.credential import BearerToken, HostKey, introducing
from application.agent.dispatch import Dispatcher
from application.agent.job_book import JobBook
from application.agent.leftovers import Leftovers
from application.agent.live_output import LiveOutput
from application.agent.outbox import Outbox
from application.agent.plain_link import PlainServing
from application.agent.room import DispatchLimits
from application.agent.sequenced_link import SequencedServing
from application.agent.step_plan import StepTools
from application.agent.vital_signs import VitalSigns
from domain.backoff import reconnect_delays
from domain.errors import TransportLost
from domain.policy import PERMISSIVE
from domain.records import Moment
from tests.fakes.host import FakeHost
from tests.fakes.network import FakeNetwork
from tests.fakes.service_manager import FakeServiceManager
from tests.simulation.compose import SimulatedExecutor, SimulatedNames, SimulatedRuntime
from tests.simulation.control_plane import ControlPlane
from tests.simulation.disk import DIRECTORY, SimulatedFiles
from tests.simulation.handlers import handlers_on
from tests.simulation.host import SimulatedHost
from tests.simulation.keeping import Reach
from tests.simulation.loop import SimulatedThreads
from tests.simulation.network import PlainLink, SequencedLink
from tests.simulation.peer_proofs import TOKEN
from tests.simulation.watched_journal import History, WatchedJournal

LIMITS = DispatchLimits(open_jobs=64, running_projects=2)
WALL = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


class SimulatedClock:
    """The loop's time. `wall_shift_s` is by how much the wall clock is wrong."""

    def __init__(self, host: SimulatedHost) -> None:
        self.wall_shift_s = 0.0
        self._host = host
        self._loop = asyncio.get_running_loop()

    def monotonic(self) -> float:
        return self._loop.time()

    def since_boot(self) -> Moment:
        return Moment(self._host.boot_id, self._loop.time() - self._host.booted_at)

    def now(self) -> datetime:
        return WALL + timedelta(seconds=self._loop.time() + self.wall_shift_s)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0))

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(seconds)


@dataclass(slots=True)
class Sizes:
    """How small everything is on a machine where compactions and full disks have to come about."""

    compact_at_bytes: int
    reserve_bytes: int = 6 * 1024
    chunk_bytes: int = 4 * 1024
    room_bytes: int = 2 * 1024
    slowest_disk_s: float = 0.01


@dataclass(slots=True)
class Surroundings:
    """What outlives the process."""

    rng: Random
    host: SimulatedHost
    clock: SimulatedClock
    control_plane: ControlPlane
    history: History
    sizes: Sizes
    new_text: Callable[[], str]


class _Transport:
    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self.is_dead = False

    async def connect(self) -> SequencedLink | PlainLink:
        link = await self._control_plane.connect()
        if self.is_dead:
            raise TransportLost("this process is dead")
        return link


class AgentProcess:
    """It runs from the start. `ended` is called once it is gone, `dies` where its disk kills it."""

    def __init__(
        self,
        around: Surroundings,
        *,
        ended: Callable[[AgentProcess], None],
        dies: Callable[[AgentProcess], None],
    ) -> None:
        self.is_dead = False
        self.is_stopping = False
        self._around = around
        self._ended = ended
        rng = around.rng
        self.files = SimulatedFiles(around.host.disk, lambda: dies(self), rng)
        self._threads = SimulatedThreads(rng, slowest_s=around.sizes.slowest_disk_s)
        self._reach = Reach(around.host.kept, rng, slowest_s=around.sizes.slowest_disk_s)
        self._executor = SimulatedExecutor(around.host, rng)
        self._transport = _Transport(around.control_plane)
        self.book, self.outbox, self.agent = self._wire()
        self.task = asyncio.get_running_loop().create_task(self.agent.run(), name="agent")
        self.task.add_done_callback(self._is_over)

    def kill(self, *, silently: bool = False) -> None:
        """End it as SIGKILL does: from here on nothing that it still does has an effect.

        Without a kernel that says so, the other side does not hear of it.
        """
        if self.is_dead or self.task.done():
            return
        self.is_dead = self.files.is_dead = True
        self._executor.is_dead = self._reach.is_dead = self._transport.is_dead = True
        self._threads.kill()
        wire = self._around.control_plane.wire
        if wire is not None:
            wire.vanish() if silently else wire.cut()
        self.task.cancel()

    def stop(self) -> None:
        """SIGTERM."""
        self.is_stopping = True
        self.agent.request_stop()

    def _is_over(self, _task: object) -> None:
        self._ended(self)

    def _wire(self) -> tuple[JobBook, Outbox, Agent]:
        around, clock, host = self._around, self._around.clock, self._around.host
        sizes = around.sizes
        journal = DurableJobJournal(
            DIRECTORY,
            self._threads,
            reserve_bytes=sizes.reserve_bytes,
            chunk_bytes=sizes.chunk_bytes,
            room_bytes=sizes.room_bytes,
            files=self.files,
        )
        book = JobBook(
            journal=WatchedJournal(journal, around.history),
            clock=clock,
            new_epoch=around.new_text,
            compact_at_bytes=sizes.compact_at_bytes,
        )
        live, outbox = LiveOutput(), Outbox()
        tools = StepTools(
            book=book,
            executor=self._executor,
            names=SimulatedNames(host.engine),
            engine=host.engine,
            clock=clock,
            live=live,
            private=self._reach.private,
            new_token=around.new_text,
        )
        dispatcher = Dispatcher(
            handlers=handlers_on(
                host.engine, self._reach, SimulatedRuntime(host, around.rng), book, clock
            ),
            book=book,
            tools=tools,
            results=outbox,
            clock=clock,
            limits=LIMITS,
        )
        admission = Admission(
            book=book,
            dispatcher=dispatcher,
            outbox=outbox,
            clock=clock,
            private=self._reach.private,
            policy=PERMISSIVE,
        )
        agent = Agent(
            book=book,
            admission=admission,
            dispatcher=dispatcher,
            connection=self._connection(book, admission, outbox, live),
            leftovers=Leftovers(
                book=book,
                executor=self._executor,
                live=live,
                private=self._reach.private,
                logins=self._reach.logins,
            ),
            outbox=outbox,
            clock=clock,
            manager=FakeServiceManager(),
        )
        return book, outbox, agent

    def _connection(
        self, book: JobBook, admission: Admission, outbox: Outbox, live: LiveOutput
    ) -> Connection:
        around, clock = self._around, self._around.clock
        jitter = partial(around.rng.uniform, 0.0)
        has_keys = around.control_plane.database.keys is not None
        credential = HostKey(self._reach.identity, token=TOKEN) if has_keys else BearerToken()
        return Connection(
            transport=self._transport,
            plain=None
            if has_keys
            else PlainServing(book=book, admission=admission, outbox=outbox, clock=clock),
            sequenced=SequencedServing(
                book=book,
                admission=admission,
                credential=credential,
                live=live,
                clock=clock,
                introduce=introducing(FakeHost(), around.new_text),
                spread=jitter,
                vital_signs=VitalSigns(
                    book=book, host=FakeHost(), engine=around.host.engine, clock=clock
                ),
            ),
            network=FakeNetwork(),
            manager=FakeServiceManager(),
            clock=clock,
            delays=partial(reconnect_delays, jitter=jitter),
            spread=jitter,
        )
