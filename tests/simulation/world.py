"""One simulation: a plan carried out on an agent, its machine, its network and its control plane."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final, Literal

from application.agent.job_book import JournalFailed
from domain.errors import NoSpace, StorageUnavailable
from tests.fakes.identity import FakeKeys
from tests.simulation.check import check
from tests.simulation.control_plane import ControlPlane
from tests.simulation.disk import SimulatedDisk
from tests.simulation.findings import Findings
from tests.simulation.host import SimulatedHost
from tests.simulation.network import NetworkFaults
from tests.simulation.peer_link import PeerLink
from tests.simulation.plan import CHAOS_S, Plan, draw_plan
from tests.simulation.process import AgentProcess, SimulatedClock, Sizes, Surroundings
from tests.simulation.watched_journal import History
from tests.simulation.wishes import Wishes

SETTLING_S: Final = 900.0
LOOK_EVERY_S: Final = 0.5
_CRASHES: Final = ("agents killed", "power lost", "control planes crashed")


class World:
    """`live` it once. `trace` gets a line for all that happens."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._trace = trace
        self._loop = asyncio.get_running_loop()
        self._begun_at = self._loop.time()
        self._rng = Random(seed)
        self._plan: Plan = draw_plan(self._rng)
        self._faults = NetworkFaults(
            self._plan.slowest_net_s,
            self._plan.duplicates,
            self._plan.swaps,
            cut_at_frame=self._plan.cut_at_frame,
        )
        self._texts = itertools.count(1)
        self._is_over = False
        self._is_settling = False
        self._loses_power = False
        self.disk = SimulatedDisk(self._rng)
        self.host = SimulatedHost(self._rng, self.disk, self.counts)
        self.history = History(self.counts, self.host.engine.contents)
        self.control_plane = ControlPlane(
            self._rng,
            self._faults,
            self.counts,
            choose_version=self._choose_version,
            prune_rate=self._plan.prune_rate,
            fail=lambda exc: self._fail(str(exc)),
            keys=FakeKeys("control plane") if self._has_keys(seed) else None,
        )
        self.wishes = Wishes(self._rng, self._plan, self.control_plane, self.counts)
        self._clock = SimulatedClock(self.host)
        self._around = Surroundings(
            rng=self._rng,
            host=self.host,
            clock=self._clock,
            control_plane=self.control_plane,
            history=self.history,
            sizes=Sizes(self._plan.compact_at_bytes, slowest_disk_s=self._plan.slowest_disk_s),
            new_text=lambda: f"{next(self._texts):032x}",
        )
        self.agent: AgentProcess | None = None

    def _has_keys(self, seed: int) -> bool:
        """Half of those that speak v2 alone: a host with a key speaks nothing else."""
        has_keys = self._plan.mode == "v2" and seed % 2 == 0
        self.counts["lives with keys"] += has_keys
        return has_keys

    async def live(self) -> None:
        """Carry the plan out, let everything come to its end, and see whether all promises hold."""
        self._start_agent()
        for after_s, what, number in self._plan.events:
            self._loop.call_later(after_s, self._happen, what, number)
        await asyncio.sleep(CHAOS_S + 0.5)
        self._heal()
        await self._settle()
        await self._stop()
        self.counts["virtual seconds"] += int(self._loop.time() - self._begun_at)
        self.failures += check(
            Findings(
                mode=self._plan.mode,
                history=self.history,
                host=self.host,
                database=self.control_plane.database,
                is_restored=self.counts["restored databases"] > 0,
                wishes=self.wishes.made,
                counts=self.counts,
            )
        )

    # What happens.

    def _happen(self, what: str, number: float) -> None:
        self._say(f"--- {what} {number:.3f}")
        match what:
            case "submit":
                self.wishes.submit(int(number))
            case "submit again":
                self.wishes.submit_again(number)
            case "cancel":
                if self.control_plane.is_up and (wish := self.wishes.one_of(number)):
                    self.counts["cancels"] += 1
                    self.control_plane.cancel(wish.job_id)
            case "back up":
                self.control_plane.back_up()
            case "cut link" if self.control_plane.wire is not None:
                self.control_plane.wire.cut()
            case "freeze" if self.control_plane.wire is not None:
                self.counts["frozen directions"] += 1
                lasts = (2.0, 12.0, 45.0)[int(number * 30) % 3]
                self.control_plane.wire.freeze(up=number < 0.5, until=self._loop.time() + lasts)
            case "go away":
                self.control_plane.go_away(number * 2)
            case "shift wall clock":
                self.counts["wall clocks shifted"] += 1
                self._clock.wall_shift_s += (number - 0.5) * 80 * 24 * 3600
            case "crash control plane" | "restore control plane":
                self._crash_control_plane(number, restore=what.startswith("restore"))
            case _:
                self._happen_to_machine(what, number)

    def _happen_to_machine(self, what: str, number: float) -> None:
        agent = self.agent
        match what:
            case "kill agent" if agent is not None:
                self._kill()
            case "kill agent at its disk" | "lose power at its disk" if agent is not None:
                self._loses_power = what.startswith("lose")
                agent.files.die_in = 1 + int(number * 30)
            case "lose power":
                self._lose_power()
            case "stop agent" if agent is not None and not agent.is_stopping:
                self.counts["agents stopped"] += 1
                agent.stop()
            case "kill executor":
                self.counts["executors killed"] += self.host.kill_one()
            case "persecute executors":
                self.host.persecuted_until = self._loop.time() + 4 + number * 6
            case "fill disk":
                self.counts["full disks"] += 1
                self.disk.is_full = True
                self._loop.call_later(1 + number * 8, self._free_disk)
            case "fail disk":
                self.disk.syncs_to_fail = 1
            case "stop engine":
                self.counts["engines stopped"] += 1
                self.host.engine.is_down = True
                self._loop.call_later(1 + number * 6, self._start_engine)

    # Who dies, and comes back.

    def _start_agent(self) -> None:
        if self.agent is None:
            self._say("--- the agent starts")
            self.counts["agents started"] += 1
            self.agent = AgentProcess(self._around, ended=self._agent_ended, dies=self._kill_agent)

    def _agent_ended(self, agent: AgentProcess) -> None:
        self.agent = None
        error = None if agent.task.cancelled() else agent.task.exception()
        if error is not None and not agent.is_dead and not self._may_end(error):
            self._fail(f"the agent ended by itself: {error!r}")
        if not self._is_over:
            self._loop.call_later(0.05 + self._rng.random() * 3, self._start_agent)

    def _may_end(self, error: BaseException) -> bool:
        self.counts["agents ended by their disk"] += 1
        if isinstance(error, NoSpace) and not self.history.facts:
            return True  # There has to be a journal before there is one on a full disk.
        is_about_disk = isinstance(error, StorageUnavailable | JournalFailed | BaseExceptionGroup)
        return is_about_disk and self.disk.counts["failed syncs"] > 0

    def _kill(self) -> None:
        if self.agent is not None:
            self.counts["agents killed"] += 1
            self.agent.kill()

    def _kill_agent(self, _agent: AgentProcess) -> None:
        if self._loses_power:
            self._lose_power()
        else:
            self._kill()

    def _lose_power(self) -> None:
        self.counts["power lost"] += 1
        if self.agent is not None:
            self.agent.kill(silently=True)
        self.host.lose_power()

    def _crash_control_plane(self, number: float, *, restore: bool) -> None:
        if not self.control_plane.is_up:
            return
        self.counts["control planes crashed"] += 1
        self.control_plane.crash()
        start = self.control_plane.restore if restore else self.control_plane.start
        self._loop.call_later(0.05 + number * 3, start)

    def _free_disk(self) -> None:
        self.disk.is_full = False

    def _start_engine(self) -> None:
        self.host.engine.is_down = False

    # How it ends.

    def _heal(self) -> None:
        """Nothing goes wrong any more, but for what every simulation has to have seen."""
        self._say("--- from here on all goes well")
        self._is_settling = self.wishes.are_sure = True
        self.disk.is_full, self.disk.syncs_to_fail = False, 0
        self.host.engine.is_down = False
        self.host.persecuted_until = 0.0
        self._faults.swaps = self._faults.duplicates = 0.0
        if self.agent is not None:
            self.agent.files.die_in = None
        if not any(self.counts[crash] for crash in _CRASHES):
            self._kill() if self.agent is not None else self._crash_control_plane(0, restore=False)
        wire = self.control_plane.wire
        if wire is not None and (not self.counts["disconnects"] or self._plan.mode == "both"):
            wire.cut()
        if not self.counts["duplicates"]:
            self._faults.duplicate_next = 1
        for number in range(2):
            self.wishes.submit(number)
        self.wishes.submit_again(0.0)
        self.wishes.submit_again(self._rng.random())

    async def _settle(self) -> None:
        give_up_at = self._loop.time() + SETTLING_S
        while not self._is_settled() and not self.failures:
            await asyncio.sleep(LOOK_EVERY_S)
            wire = self.control_plane.wire
            if wire is not None and not self.counts["disconnects"]:
                wire.cut()
            if self._loop.time() >= give_up_at:
                self._fail(f"it does not come to rest: {self._what_is_left()}")

    def _is_settled(self) -> bool:
        return not self._what_is_left() and self.agent is not None

    def _what_is_left(self) -> str:
        agent, peer, database = self.agent, self.control_plane.peer, self.control_plane.database
        if agent is None or agent.is_dead:
            return "an agent"
        if peer is None:
            return "a link"
        if self.wishes.postponed:
            return "wishes"
        ledger = agent.book.ledger
        left = {
            "uncommitted": peer.has_uncommitted,
            "orders": [order.job_id for order in database.orders.values() if not order.is_settled],
            "open": [job.job_id for job in ledger.open_jobs()],
            "undelivered": [result.job_id for result in ledger.undelivered()],
            "running": [run.token for run in self.host.running],
            "secrets": self.host.kept.secrets,
            "duplicate": self._faults.duplicate_next,
        }
        if isinstance(peer, PeerLink):
            left["notices"] = list(ledger.notices)
            left["untaken"] = len(database.outgoing) - database.taken
            left["opening"] = not peer.is_open
        else:
            left["outbox"] = len(agent.outbox)
        return ", ".join(f"{name}: {value}" for name, value in left.items() if value)

    async def _stop(self) -> None:
        self._is_over = True
        agent = self.agent
        if agent is not None:
            agent.stop()
            await asyncio.wait({agent.task})

    def _choose_version(self) -> Literal[1, 2]:
        if self._plan.mode == "v1":
            return 1
        if self._plan.mode == "both" and not self._is_settling and self._rng.random() < 0.5:
            return 1
        return 2

    def _fail(self, why: str) -> None:
        self._say(f"!!! {why}")
        self.failures.append(why)

    def _say(self, text: str) -> None:
        if self._trace is not None:
            self._trace(f"{self._loop.time() - self._begun_at:10.4f} {text}")
