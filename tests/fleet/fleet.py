"""A fleet: many simulated agents on one event loop.

    async with Fleet(url) as fleet:
        agent = fleet.add(Memory(bearer_token=token), name="host-1")
        await fleet.all_online()

Each agent dials from one of several addresses of loopback, as one address has only some 28,000 ports.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, TypeVar

from tests.fleet.agent import Agent
from tests.fleet.dialing import Dialer
from tests.fleet.keeping import Keeper, Keeping, NotKept
from tests.fleet.ledger import Ledger
from tests.fleet.memory import Memory
from tests.fleet.pace import Pace
from tests.fleet.scripts import GOOD_MANNERS, JobPlan, Manners, Script, always
from tests.fleet.upgrade import BOTH, Target

T = TypeVar("T")

PATIENCE_S: Final = 60.0
"""How long is waited for what must come."""
SOURCES: Final = 8
MAX_NOTED: Final = 1000
"""So many faults are kept word for word; all are counted."""


class Fleet:
    """What all agents of it stand on (`agent.Ground`). Leaving the context ends them, in order.

    `blames` are what the control plane did that it must not, each behind the name of the agent that saw
    it; `complaints` are the ERRORs that it sent.
    """

    def __init__(
        self,
        url: str,
        *,
        pace: Pace | None = None,
        tls: ssl.SSLContext | None = None,
        dialing: int = 256,
        sources: int = SOURCES,
        first_source: int = 1,
        keeping: Path | None = None,
    ) -> None:
        self._dialer = Dialer(
            Target.of(url), tls=tls, most=dialing, sources=sources, first_source=first_source
        )
        self.pace = pace or Pace()
        self.agents: list[Agent] = []
        self.running = 0
        """How many agents run,"""
        self.online = 0
        """and how many of them are welcome."""
        self.counts: Counter[str] = self._dialer.counts
        self.blames: list[str] = []
        self.complaints: list[str] = []
        self._keeping: Keeper = NotKept() if keeping is None else Keeping(keeping)
        self._waiters: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # Agents.

    def add(
        self,
        memory: Memory,
        *,
        name: str,
        script: Script | None = None,
        manners: Manners = GOOD_MANNERS,
        offer: tuple[str, ...] = BOTH,
        is_started: bool = True,
    ) -> Agent:
        """Another agent; where a directory keeps this fleet, it finds there what it was."""
        ledger = Ledger(name, memory.host_id)
        memory, ledger = self._keeping.recall(memory, ledger)
        plan = script or always(JobPlan())
        agent = Agent(self, memory, ledger, plan, manners=manners, offer=offer)
        self.agents.append(agent)
        if is_started:
            agent.start()
        return agent

    def add_clone(self, agent: Agent, *, name: str) -> Agent:
        """Another machine with a copy of all that an agent keeps."""
        memory = Memory.from_json(agent.memory.to_json())
        return self.add(
            memory, name=name, script=agent.host.script, manners=agent.manners, offer=agent.offer
        )

    def release(self) -> None:
        """Let all jobs end that wait to be let."""
        for agent in self.agents:
            agent.host.release()

    def cut_all(self) -> None:
        """Break all links at once."""
        for agent in self.agents:
            agent.cut()

    async def stop(self) -> None:
        """End all agents in order; those that the control plane does not answer, after a while."""
        for agent in self.agents:
            agent.stop()
        await self._dialer.stop()
        await self.until(
            lambda: all(agent.link is None for agent in self.agents) or None, "the links' ends"
        )

    @property
    def ledgers(self) -> list[Ledger]:
        """Of all hosts."""
        for agent in self.agents:
            agent.ledger.host_id = agent.memory.host_id or agent.ledger.host_id
        return [agent.ledger for agent in self.agents]

    # Waiting.

    async def all_online(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until all agents that run are welcome."""

        await self.until(
            lambda: self.online >= self.running or None, "all agents to be welcome", patience_s
        )

    async def until(
        self, condition: Callable[[], T | None], what: str, patience_s: float = PATIENCE_S
    ) -> T:
        """Wait until the condition gives something that is not None, and return that."""
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    if (found := condition()) is not None:
                        return found
                    change = asyncio.get_running_loop().create_future()
                    self._waiters.append(change)
                    await change
        except TimeoutError as late:
            raise AssertionError(
                f"waited in vain for {what}; {self.online} of {len(self.agents)} are online; "
                f"{dict(self.counts)}; {self.blames[:5]}"
            ) from late

    def check(self) -> None:
        """Raise where the control plane has done what it must not."""
        if self.blames or self.complaints:
            lines = [*self.blames[:20], *self.complaints[:20]]
            raise AssertionError("\n  ".join(["the control plane:", *lines]))

    # What agents stand on.

    def dial(self, agent: Agent) -> None:
        self._dialer.dial(agent)

    def forget(self, agent: Agent) -> None:
        self._dialer.forget(agent)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] += number

    def blame(self, agent: Agent, fault: str) -> None:
        self.counts["blames"] += 1
        if len(self.blames) < MAX_NOTED:
            self.blames.append(f"{agent.hostname}: {fault}")
        self.changed()

    def complained(self, agent: Agent, what: str) -> None:
        if len(self.complaints) < MAX_NOTED:
            self.complaints.append(f"{agent.hostname}: {what}")
        self.changed()

    def keep(self, agent: Agent) -> None:
        self._keeping.keep(agent.memory, agent.ledger)

    def changed(self) -> None:
        waiters, self._waiters = self._waiters, []
        for one in waiters:
            if not one.done():
                one.set_result(None)
