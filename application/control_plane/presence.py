"""Which hosts are connected at this moment, over which links; and what has to be done to all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from application.control_plane.clones import Clones
from application.control_plane.link_tools import Crew
from application.control_plane.openings import BeingOpened, Openings
from application.control_plane.reports import WRITTEN_EVERY_S, Reports
from application.control_plane.wheel import Wheel
from application.ports.clock import Clock
from domain.fleet.allowance import Allowance
from domain.fleet.host import AgentReport, HostId
from domain.fleet.host_effects import LinkEnd

logger = logging.getLogger(__name__)

ROUND_S: Final = 1.0
AT_ONCE: Final = 200
"""So many links are looked after before anything else gets its turn."""
DISMISSALS_KEPT_S: Final = 120.0
"""Longer than any opening takes."""
COMINGS: Final = 60
COMINGS_PER_S: Final = 0.5
"""How often one host may connect at once, and in the long run; agents wait longer in between."""
LAST_REPORTS_S: Final = 5.0
LEAVING_S: Final = 5.0
"""What agents that were asked to go get beyond the moment at which the last should have."""


class AttendedLink(BeingOpened, Protocol):
    """A link, whichever version of the protocol it speaks."""

    slot: int

    @property
    def protocol(self) -> int:
        """Which."""
        ...

    @property
    def report(self) -> AgentReport | None:
        """What its agent last said of itself."""
        ...

    def wake(self) -> None:
        """There is something new in the database for its host."""
        ...

    async def settled(self) -> None:
        """Wait until nothing that came over it is being written any more; once it is over."""
        ...

    def tick(self, now: float) -> float | None:
        """Do what is due, and say when to look again; None for a link that is over."""
        ...

    def go_away(self, window_s: float) -> None:
        """Ask the agent to connect again within so many seconds, where that can be asked."""
        ...


class LiveHosts:
    """What use cases ask of it is `HostLinks`; what links ask of it is below that."""

    def __init__(
        self, *, openings: Openings, reports: Reports, clones: Clones, clock: Clock, crew: Crew
    ) -> None:
        self.openings = openings
        self.reports = reports
        self.clones = clones
        self._clock = clock
        self._crew = crew
        self._links: dict[HostId, AttendedLink] = {}
        self._parting: dict[HostId, AttendedLink] = {}
        self._wheel: Wheel[AttendedLink] = Wheel()
        self._dismissed: dict[HostId, tuple[float, LinkEnd]] = {}
        self._comings: dict[HostId, Allowance] = {}

    # For use cases.

    def wake(self, host_id: HostId) -> None:
        """There is something new in the store for this host; nothing where it has no link."""
        if (link := self._links.get(host_id)) is not None:
            link.wake()

    def is_online(self, host_id: HostId) -> bool:
        """Whether the host's agent is connected and has proven who it is."""
        return host_id in self._links

    def online(self) -> Mapping[int, int]:
        """How many hosts are online, by the version of the protocol that their agents speak."""
        return Counter(link.protocol for link in self._links.values())

    def report_of(self, host_id: HostId) -> AgentReport | None:
        """What the agent last said of itself, newer than what the directory has; None where it is away."""
        link = self._links.get(host_id)
        return None if link is None else link.report

    def dismiss(self, host_id: HostId, end: LinkEnd = LinkEnd.REVOKED) -> None:
        """End the host's link, as what it has proven itself with is worth nothing any more.

        To be called once that is durable. A link that is being proven at this moment ends too.
        """
        self._dismissed[host_id] = (self._clock.monotonic(), end)
        for links in (self._links, self._parting):
            if (link := links.get(host_id)) is not None:
                link.end(end, "what this agent has proven itself with is not good any more")

    # For links.

    def opened(self, link: AttendedLink, due: float) -> None:
        """A link is there, whose agent has yet to prove who it is."""
        self.openings.opened(link)
        self._wheel.put(link, due)

    def due(self, link: AttendedLink, due: float) -> None:
        """Look after it by then."""
        self._wheel.put(link, due)

    def register(self, host_id: HostId, link: AttendedLink, since: float) -> AttendedLink | None:
        """The link is this host's, as was proven by what was looked up from `since` on.

        Returns the link that it replaces, which is ended; what is said on it may still be on its way
        into the database.
        """
        self.openings.left(link)
        dismissed_at, end = self._dismissed.get(host_id, (since - 1.0, LinkEnd.REVOKED))
        if dismissed_at >= since:
            link.end(end, "what this agent has proven itself with is not good any more")
            return None
        if not self._may_come(host_id):
            link.end(LinkEnd.TOO_MUCH, "this agent connects again and again")
            return None
        previous = self._links.get(host_id)
        self._links[host_id] = link
        if previous is not None:
            previous.end(LinkEnd.REPLACED, "a newer connection of this agent has replaced this one")
        return previous

    def parts(self, host_id: HostId, link: AttendedLink, due: float) -> None:
        """Nothing is said on the host's link any more; it is to be over by `due`."""
        self.left(host_id, link)
        if (previous := self._parting.get(host_id)) is not None:
            previous.end(LinkEnd.REPLACED, "a newer connection of this agent has replaced this one")
        self._parting[host_id] = link
        self._wheel.put(link, due)

    def left(self, host_id: HostId | None, link: AttendedLink) -> None:
        """A link is over; harmless again."""
        self.openings.left(link)
        self._wheel.drop(link)
        if host_id is not None:
            for links in (self._links, self._parting):
                if links.get(host_id) is link:
                    del links[host_id]

    def replaced_alive(self, host_id: HostId) -> None:
        """A link that was replaced has answered."""
        if self.clones.replaced(host_id):
            self._crew.start(
                partial(self.clones.suspect, host_id), "suspecting a clone", lambda: None
            )

    # For the program.

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Look after all links until cancelled; none may come in before `ready` is called."""
        async with self._crew, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_reports(), name="keeping reports")
            ready()
            try:
                await self._go_round()
            finally:
                with contextlib.suppress(TimeoutError):
                    async with self._clock.timeout(LAST_REPORTS_S):
                        await self.reports.write()

    async def drain(self, window_s: float) -> None:
        """Take no more links, ask all agents to connect again, and wait until they are gone.

        They go at random moments within `window_s` seconds; those that do not are ended, and so are
        those that cannot be asked. What is left then is nobody's.
        """
        self.openings.close()
        for link in list(self._links.values()):
            link.go_away(window_s)
        deadline = self._clock.monotonic() + window_s + LEAVING_S
        while self._links and self._clock.monotonic() < deadline:
            await self._clock.sleep(min(ROUND_S, max(window_s, 0.01)))
        self.end_all()

    def end_all(self) -> None:
        """End all links there are."""
        why = "the control plane goes away"
        for link in [*self._links.values(), *self._parting.values()]:
            link.end(LinkEnd.GOING_AWAY, why)
        self.openings.end_all(LinkEnd.GOING_AWAY, why)

    async def _go_round(self) -> None:
        while True:
            await self._clock.sleep(ROUND_S)
            self.openings.call()
            now = self._clock.monotonic()
            for count, link in enumerate(self._wheel.take(now), start=1):
                if (due := _ticked(link, now)) is not None:
                    self._wheel.put(link, due)
                if count % AT_ONCE == 0:
                    await self._clock.sleep(0)
            for host_id in [
                host_id
                for host_id, (at, _) in self._dismissed.items()
                if now - at >= DISMISSALS_KEPT_S
            ]:
                del self._dismissed[host_id]

    async def _keep_reports(self) -> None:
        while True:
            await self._clock.sleep(WRITTEN_EVERY_S)
            self.clones.forget_old()
            self._forget_comings()
            await self.reports.write()

    def _may_come(self, host_id: HostId) -> bool:
        """Whether the host has not come too often: each coming is work, for the database too."""
        now = self._clock.monotonic()
        comings = self._comings.get(host_id)
        if comings is None:
            comings = self._comings[host_id] = Allowance(COMINGS, COMINGS_PER_S, now)
        return comings.take(1.0, now)

    def _forget_comings(self) -> None:
        now = self._clock.monotonic()
        for host_id in [
            host_id for host_id, comings in self._comings.items() if not comings.full_in(now)
        ]:
            del self._comings[host_id]


def _ticked(link: AttendedLink, now: float) -> float | None:
    try:
        return link.tick(now)
    except Exception:
        # One link's bug is not to be the end of the others.
        logger.exception("looking after a link: a bug; the link is given up")
        link.end(LinkEnd.BROKEN, "the link cannot be looked after")
        return None
