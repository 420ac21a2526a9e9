"""One simulated agent: its links one after another, for as long as it runs."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from tests.fleet.host import SimulatedHost
from tests.fleet.ledger import Ledger
from tests.fleet.memory import KeptJob, Memory
from tests.fleet.pace import Pace, is_refusal
from tests.fleet.plain_session import PlainSession
from tests.fleet.scripts import GOOD_MANNERS, JobPlan, Manners, Moment, Script
from tests.fleet.sequenced_session import SequencedSession
from tests.fleet.served import Session
from tests.fleet.upgrade import BOTH, V2, Caller
from tests.fleet.wire import Link, LinkEnd

SOON_S: Final = 0.001


class Ground(Protocol):
    """What all agents of a fleet stand on."""

    pace: Pace
    running: int
    online: int

    def dial(self, agent: Agent) -> None:
        """Connect when it is its turn; `ended` is what follows in any case."""

    def forget(self, agent: Agent) -> None:
        """It wants no connection any more."""

    def count(self, what: str, number: int = 1) -> None: ...

    def blame(self, agent: Agent, fault: str) -> None: ...

    def complained(self, agent: Agent, what: str) -> None: ...

    def keep(self, agent: Agent) -> None: ...

    def changed(self) -> None: ...


class Agent:
    """It is the owner of its link (`wire.Owner`), and what its session is served by (`served.Served`)."""

    __slots__ = (
        "_attempt", "_away_s", "_left", "_link", "_opened_at", "_rejoins", "_retry",
        "_session", "ends", "ground", "host", "is_running", "manners", "memory", "offer",
    )  # fmt: skip

    def __init__(
        self,
        ground: Ground,
        memory: Memory,
        ledger: Ledger,
        script: Script,
        *,
        manners: Manners = GOOD_MANNERS,
        offer: tuple[str, ...] = BOTH,
    ) -> None:
        self.ground = ground
        self.memory = memory
        self.manners = manners
        self.offer = offer
        self.host = SimulatedHost(memory, ledger, script)
        self.host.told = self._told
        self.host.is_running = False
        self.is_running = False
        self.ends: list[int] = []
        """The codes of the last links' ends; HTTP's status where a link was refused."""
        self._link: Link | None = None
        self._session: Session | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._attempt = 0
        self._opened_at = 0.0
        self._away_s: float | None = None
        self._rejoins = False
        self._left: set[str] = set()

    # What a test can do.

    @property
    def ledger(self) -> Ledger:
        return self.host.ledger

    @property
    def hostname(self) -> str:
        return self.ledger.name

    @property
    def is_online(self) -> bool:
        """Whether it is welcome."""
        return self._session is not None and self._session.is_welcome

    @property
    def link(self) -> Link | None:
        return self._link

    def start(self) -> None:
        """Run: go on with what was begun, and connect; harmless where it does."""
        if self.is_running:
            return
        self.is_running = True
        self.ground.running += 1
        self._attempt, self._away_s, self._rejoins, self._retry = 0, None, False, None
        self.host.resume()
        if self._link is None:
            self.ground.dial(self)

    def stop(self) -> None:
        """Leave in order."""
        if self._session is not None:
            self._session.say_bye()
        self._down()
        if self._link is not None:
            self._link.close(1001, "the agent stops")

    def kill(self) -> None:
        """Be gone at once; what is in the memory stays. `start` brings it back."""
        self._down()
        if (link := self._disowned()) is not None:
            link.cut()

    def cut(self) -> None:
        """Lose the link, as by a network that breaks; it is tried again as the pace says."""
        if self._link is not None:
            self._link.cut()

    def begin_epoch(self) -> None:
        """Forget where the numbers stood, and nothing else; the link goes too."""
        self.memory.begin_epoch()
        self.keep()
        self.cut()

    def lose_memory(self) -> None:
        """Forget all but who it is, as a host whose disk was replaced. Not while it runs."""
        assert not self.is_running
        old = self.memory
        self.memory = self.host.memory = Memory(
            bearer_token=old.bearer_token,
            secret_key=old.secret_key,
            host_id=old.host_id,
            pinned_key=old.pinned_key,
        )
        self.ledger.amnesias += 1
        self.keep()

    def caller(self) -> Caller:
        """What its upgrade requests say."""
        return Caller(self.hostname, self.memory.bearer_token, offer=self.offer)

    # The link's owner.

    def connected(self, link: Link) -> None:
        """There is a socket; the upgrade request is on its way."""
        self._link = link
        if not self.is_running:
            link.cut()

    def opened(self, subprotocol: str) -> None:
        assert self._link is not None
        self.ground.count("links")
        self._opened_at = asyncio.get_running_loop().time()
        if subprotocol == V2:
            self.ledger.protocol = 2
            self._session = SequencedSession(self, self._link)
        elif self.memory.has_key:
            # It proves itself with a key, for which v1 has no words.
            self.ground.count("v1 refused")
            self._link.close(1002, "this agent speaks v2 alone")
            return
        else:
            self.ledger.protocol = 1
            self._session = PlainSession(self, self._link)
            self.ground.count("welcomed v1")
            self.welcomed()
        self._session.begin()
        self.changed()

    def heard(self, text: str) -> None:
        if self._session is not None:
            self._session.hear(text)

    def heard_all(self) -> None:
        if self._session is not None:
            self._session.heard_all()

    def has_room(self) -> None:
        if self._session is not None:
            self._session.has_room()

    def ponged(self, payload: bytes) -> None:
        if self._session is not None:
            self._session.ponged(payload)

    def ended(self, end: LinkEnd) -> None:
        """The link is gone, or came to nothing."""
        self._disowned()
        if end.fault:
            self.blame(end.fault)
        self.ends = [*self.ends[-9:], end.status or end.code]
        self.ground.count(f"ended {end.status or end.code}{' by us' if end.is_ours else ''}")
        if self.is_running:
            self._try_again(end)
        self.changed()

    # What a session is served by.

    def count(self, what: str, number: int = 1) -> None:
        self.ground.count(what, number)

    def blame(self, fault: str) -> None:
        self.ground.blame(self, fault)

    def complained(self, what: str) -> None:
        self.ground.complained(self, what)

    def accepted(self, job_id: str) -> None:
        deed = self.ledger.deed(job_id)
        if not deed.accepted_at:
            deed.accepted_at = self.host.now()
        self.count("accepts")
        self.changed()

    def leaves(self, job_id: str, plan: JobPlan, moment: Moment) -> bool:
        leave = plan.leave
        if leave is None or leave.at is not moment or job_id in self._left or self._link is None:
            return False
        self._left.add(job_id)
        self.count(f"left {moment.value}")
        link, self._away_s = self._link, leave.away_s
        if leave.with_new_epoch:
            self.memory.begin_epoch()
            self.keep()
        if leave.is_killed:
            self._down()
            self._disowned()
            self._retry = asyncio.get_running_loop().call_later(leave.away_s, self.start)
        if moment in (Moment.AFTER_ACCEPT, Moment.AFTER_RESULT):
            link.hang_up()
        else:
            link.cut()
        return True

    def welcomed(self) -> None:
        self.ground.online += 1

    def keep(self) -> None:
        self.ground.keep(self)

    def changed(self) -> None:
        self.ground.changed()

    def go_elsewhere(self, window_s: float) -> None:
        self._rejoins = True
        delay = self.ground.pace.within(window_s)
        asyncio.get_running_loop().call_later(delay, self._leave_for_another)

    def _leave_for_another(self) -> None:
        if self._session is not None and self._link is not None and self._rejoins:
            self._session.say_bye()
            self._link.close(1001, "going to another link, as asked")

    def _told(self, job: KeptJob) -> None:
        """A job has printed or ended, and the host has noted it."""
        self.keep()
        if self._session is not None:
            self._session.tell(job)
        self.changed()

    def _disowned(self) -> Link | None:
        """The link, of whose end nobody is told any more."""
        link = self._link
        if self._session is not None:
            self.ground.online -= self._session.is_welcome
            self._session.over()
        if link is not None:
            link.disown()
        self._session = self._link = None
        return link

    def _down(self) -> None:
        self.ground.running -= self.is_running
        self.is_running = False
        self.host.pause()
        self.ground.forget(self)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _try_again(self, end: LinkEnd) -> None:
        loop, pace = asyncio.get_running_loop(), self.ground.pace
        if self._opened_at and loop.time() - self._opened_at >= pace.stable_s:
            self._attempt = 0
        self._opened_at = 0.0
        if self._away_s is not None:
            delay, self._away_s = self._away_s, None
        elif self._rejoins:
            delay, self._rejoins, self._attempt = 0.0, False, 0
        elif is_refusal(end):
            self.count("refused")
            delay = max(pace.refused_s, end.retry_after_s)
        else:
            delay = max(pace.delay(self._attempt), end.retry_after_s)
            self._attempt += 1
        self._retry = loop.call_later(max(delay, SOON_S), self._dial)

    def _dial(self) -> None:
        self._retry = None
        if self.is_running:
            self.ground.dial(self)
