"""One link to an agent that speaks v2: carries out what opening and session say, and ends it.

It has no task of its own: what comes in is heard at once, what has to be waited for is done by tasks
that end when it is done.
"""

from __future__ import annotations

import logging
from typing import Final

from application.control_plane.delivery import Delivery
from application.control_plane.link_tools import LONGEST_WORDS, LinkTools
from application.control_plane.opening_stage import OpeningStage
from application.control_plane.presence import AttendedLink, LiveHosts
from application.control_plane.recording import Recording
from application.ports.agent_link import AgentLink, Spoken
from domain.events import JobCompleted, JobFailed, JobReceived
from domain.fleet.host import AgentReport, HostId
from domain.fleet.host_effects import (
    CheckEnrolment,
    CheckProof,
    EndOfLink,
    GoOnSending,
    Grievance,
    HostEffect,
    LinkEnd,
    NoteFacts,
    OpeningEffect,
    Take,
)
from domain.fleet.host_opening import OPENING_S
from domain.fleet.host_session import HostSession
from domain.fleet.link_state import Recorded
from domain.link_messages import GoAway, Heard, PeerError, Unusable, Welcome

logger = logging.getLogger(__name__)

MOST_GRIEVANCES: Final = 20
"""Of one link, for the log."""


class SequencedHost:
    """A `LinkOwner`, and an `AttendedLink` for `LiveHosts`."""

    __slots__ = (
        "_delivery",
        "_end",
        "_grievances",
        "_has_news",
        "_host_id",
        "_link",
        "_live",
        "_opening",
        "_parting_at",
        "_recording",
        "_report",
        "_session",
        "_tools",
        "slot",
    )

    def __init__(
        self, link: AgentLink, opening: OpeningStage, *, tools: LinkTools, live: LiveHosts
    ) -> None:
        self.slot = 0
        self._link = link
        self._opening: OpeningStage | None = opening
        self._session: HostSession | None = None
        self._tools = tools
        self._live = live
        self._recording: Recording | None = None
        self._delivery: Delivery | None = None
        self._host_id: HostId | None = None
        self._report: AgentReport | None = None
        self._end: LinkEnd | None = None
        self._parting_at = 0.0
        self._grievances = 0
        self._has_news = False
        live.opened(self, opening.script.deadline)
        link.say(opening.script.challenge)

    # What it is.

    @property
    def protocol(self) -> int:
        """See `AttendedLink`."""
        return 2

    @property
    def report(self) -> AgentReport | None:
        """See `AttendedLink`."""
        return self._report

    @property
    def is_checking(self) -> bool:
        """See `AttendedLink`."""
        return self._opening is not None and self._opening.is_checking

    @property
    def link(self) -> AgentLink:
        """Where its agent is heard and spoken to."""
        return self._link

    @property
    def is_over(self) -> bool:
        """Whether nothing more is heard or said."""
        return self._end is not None

    @property
    def is_known(self) -> bool:
        """See `LinkOwner`."""
        return self._host_id is not None

    @property
    def host_id(self) -> HostId:
        """Once it has been proven."""
        assert self._host_id is not None
        return self._host_id

    @property
    def session(self) -> HostSession:
        """Once it is welcome."""
        assert self._session is not None
        return self._session

    @property
    def opening(self) -> OpeningStage:
        """Until it is welcome."""
        assert self._opening is not None
        return self._opening

    # What its agent does.

    def heard(self, message: Spoken, size: int) -> None:
        """See `LinkOwner`."""
        if self.is_over or self._parting_at:
            return
        assert not isinstance(message, JobReceived | JobCompleted | JobFailed)
        now = self._tools.clock.monotonic()
        if self._session is None:
            effects: tuple[OpeningEffect | HostEffect, ...]
            effects = self.opening.script.hear(message, now)
            if isinstance(message, Unusable) and not effects:
                self._link.say(PeerError(message.error.code, str(message.error)))
        else:
            effects = self._session.hear(message, now, size)
        for effect in effects:
            if not self.is_over:
                self._carry_out(effect, size)
        self._speak()

    def writable(self) -> None:
        """See `LinkOwner`."""
        if self._session is not None and not self.is_over:
            self._speak()
            self._go_on()

    def ended(self, why: str, *, answered: bool) -> None:
        """See `LinkOwner`."""
        if self._end is LinkEnd.REPLACED and answered:
            self._live.replaced_alive(self.host_id)
        self.end(LinkEnd.SILENT, why)

    # What the checks of its opening do.

    def register(self, host_id: HostId, since: float) -> AttendedLink | None:
        """It is proven whose link it is; it may have ended by that. Returns what it replaces."""
        self._host_id = host_id
        return self._live.register(host_id, self, since)

    def enrolled(self, answer: Heard) -> None:
        """Its agent has become a host."""
        now = self._tools.clock.monotonic()
        self.opening.script.enrolled(now)
        self._link.say(answer)
        self._live.due(self, self.opening.script.deadline)

    def open(
        self,
        welcome: Welcome,
        session: HostSession,
        report: AgentReport,
        *,
        is_owed: bool,
        is_resumed: bool,
    ) -> None:
        """Its agent is welcome, and goes on in the numbers of the link before where `is_resumed`.

        `is_owed` says whether anything waited for it when that was looked up.
        """
        self._link.say(welcome)
        self._session, self._opening = session, None
        self._report = report
        self._recording = Recording(self._tools, self, session.confirmed)
        self._delivery = Delivery(self._tools, self, is_resumed=is_resumed)
        self._live.reports.arrived(self.host_id, report)
        logger.info("host %s is online, from %s", self._host_id, report.address)
        self._live.due(self, session.due_at(self._tools.clock.monotonic(), 0.0))
        if is_owed or self._has_news:
            self._delivery.wake()

    def part(self, welcome: Welcome) -> None:
        """Its agent will begin anew, and has to be given the time to write that down."""
        self._link.say(welcome)
        self._parting_at = self._tools.clock.monotonic() + OPENING_S
        self._live.parts(self.host_id, self, self._parting_at)

    # What `Recording` tells.

    def recorded(self, recorded: Recorded) -> None:
        """Something that was said is durable."""
        now = self._tools.clock.monotonic()
        for effect in self.session.recorded(recorded, now):
            self._carry_out(effect, 0)
        self._speak()

    # What `LiveHosts` does.

    def wake(self) -> None:
        """See `AttendedLink`."""
        self._has_news = True
        if self._delivery is not None and not self.is_over:
            self._delivery.wake()

    def go_away(self, window_s: float) -> None:
        """See `AttendedLink`."""
        if self._session is not None and not self.is_over:
            self._link.say(GoAway(window_s, "the control plane goes away"))

    def end(self, end: LinkEnd, reason: str) -> None:
        """See `AttendedLink`."""
        if self.is_over:
            return
        self._end = end
        self._live.left(self._host_id, self)
        if self._report is not None:
            self._live.reports.left(self.host_id, self._report)
        if self._delivery is not None:
            self._delivery.stop()
        if self._opening is not None:
            self._opening.stop()
        level = logging.DEBUG if self._session is None else logging.INFO
        logger.log(
            level,
            "the link to host %s has ended: %s: %r",
            self._host_id,
            end.value,
            reason[:LONGEST_WORDS],  # They may be the agent's own.
        )
        self._link.close(end, reason)

    async def settled(self) -> None:
        """See `AttendedLink`."""
        if self._opening is not None:
            await self._opening.settled()
        if self._recording is not None:
            await self._recording.settled()

    def tick(self, now: float) -> float | None:
        """See `AttendedLink`."""
        if self.is_over:
            return None
        if self._parting_at:
            if now >= self._parting_at:
                self.end(LinkEnd.VIOLATION, "both sides have to begin anew")
                return None
            return self._parting_at
        if self._session is None:
            for effect in self.opening.script.tick(now):
                self._carry_out(effect, 0)
            return None if self.is_over else self.opening.script.deadline
        return self._tick_session(self._session, now)

    def _tick_session(self, session: HostSession, now: float) -> float | None:
        if not self._link.is_writable:
            session.still_going_out(now)
        silence_s = self._link.silence_s
        for effect in session.tick(now, silence_s):
            self._carry_out(effect, 0)
        self._speak()
        return None if self.is_over else session.due_at(now, silence_s)

    def _carry_out(self, effect: OpeningEffect | HostEffect, size: int) -> None:
        match effect:
            case Take():
                assert self._recording is not None
                self._recording.take(effect.message, size)
            case GoOnSending():
                assert self._recording is not None
                self._recording.confirm(self.session.confirmed)
                self._go_on()
            case NoteFacts():
                assert self._report is not None
                self._report = self._live.reports.heard(self.host_id, self._report, effect.facts)
            case EndOfLink():
                self.end(effect.end, effect.reason)
            case Grievance():
                self._grievances += 1
                level = logging.WARNING if self._grievances <= MOST_GRIEVANCES else logging.DEBUG
                logger.log(
                    level,
                    "the agent of host %s cannot use what it got: %r: %r",
                    self._host_id,
                    effect.code[:LONGEST_WORDS],
                    effect.error[:LONGEST_WORDS],
                )
            case CheckEnrolment() | CheckProof():
                self.opening.check(self, effect)

    def _go_on(self) -> None:
        if self._delivery is not None:
            self._delivery.go_on()

    def _speak(self) -> None:
        session = self._session
        if session is None:
            return
        now = self._tools.clock.monotonic()
        while not self.is_over and self._link.is_writable:
            message = session.next_message(now)
            if message is None:
                return
            self._link.say(message)
