"""All parts of an agent, on a host in memory, with whatever handlers and transport a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from application.agent.admission import Admission
from application.agent.agent import Agent
from application.agent.connection import Connection
from application.agent.credential import BearerToken, Credential, introducing
from application.agent.dispatch import Dispatcher
from application.agent.leftovers import Leftovers
from application.agent.live_output import LiveOutput
from application.agent.outbox import Outbox
from application.agent.plain_link import PlainServing
from application.agent.room import DispatchLimits
from application.agent.sequenced_link import SequencedServing
from application.agent.vital_signs import VitalSigns
from application.ports.clock import Clock
from application.ports.transport import Transport
from domain.backoff import no_jitter, reconnect_delays
from tests.fakes.machine import FakeMachine
from tests.fakes.network import FakeNetwork
from tests.fakes.service_manager import FakeServiceManager


class FakeAgent:
    """An agent that has yet to run. `machine` outlives it."""

    def __init__(
        self,
        machine: FakeMachine,
        handlers: Mapping[type[Any], Any],
        *,
        transport: Transport,
        limits: DispatchLimits | None = None,
        outbox: Outbox | None = None,
        clock: Clock | None = None,
        credential: Credential | None = None,
    ) -> None:
        clock = machine.clock if clock is None else clock
        credential = credential or BearerToken()
        self.machine = machine
        self.network = FakeNetwork()
        self.manager = FakeServiceManager()
        self.live = LiveOutput()
        self.book = machine.book()
        self.outbox = Outbox() if outbox is None else outbox
        self.dispatcher = Dispatcher(
            handlers=handlers,
            book=self.book,
            tools=machine.step_tools(self.book, self.live),
            results=self.outbox,
            clock=clock,
            limits=limits or DispatchLimits(),
        )
        self.admission = Admission(
            book=self.book,
            dispatcher=self.dispatcher,
            outbox=self.outbox,
            clock=clock,
            private=machine.private,
            policy=machine.policy,
        )
        self.connection = Connection(
            manager=self.manager,
            transport=transport,
            plain=None
            if credential.needs_v2
            else PlainServing(
                book=self.book, admission=self.admission, outbox=self.outbox, clock=clock
            ),
            sequenced=SequencedServing(
                book=self.book,
                admission=self.admission,
                credential=credential,
                live=self.live,
                clock=clock,
                introduce=introducing(machine.host, machine.token),
                spread=no_jitter,
                vital_signs=VitalSigns(
                    book=self.book, host=machine.host, engine=machine.engine, clock=clock
                ),
            ),
            network=self.network,
            clock=clock,
            delays=reconnect_delays,
            spread=no_jitter,
        )
        self.agent = Agent(
            book=self.book,
            admission=self.admission,
            dispatcher=self.dispatcher,
            connection=self.connection,
            leftovers=Leftovers(
                book=self.book,
                executor=machine.executor,
                live=self.live,
                private=machine.private,
                logins=machine.logins,
            ),
            outbox=self.outbox,
            clock=clock,
            manager=self.manager,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FakeAgent]:
        """The agent at work, killed when the context is left: nothing is drained or said."""
        running = asyncio.create_task(self.agent.run(), name="agent")
        try:
            yield self
            assert not running.done(), "the agent has ended"
        finally:
            running.cancel()
            await asyncio.wait({running})
            if not running.cancelled():
                running.result()  # Whatever went wrong in the test, this is why.
