"""One link to an agent that speaks v1: what can be promised with what that version can say.

It has no numbers and no acknowledgements. A command that is sent is answered with IN_PROGRESS and,
once, with a final response; where the link ends in between, only the agent knows what came of it.
"""

from __future__ import annotations

import logging
from typing import Final

from application.control_plane.link_tools import LONGEST_WORDS, LinkTools
from application.control_plane.plain_delivery import PlainDelivery
from application.control_plane.presence import LiveHosts
from application.control_plane.recording import Recording
from application.control_plane.reports import tidy
from application.control_plane.times import seconds_now
from application.ports.agent_link import AgentLink, Spoken, UpgradeRequest
from domain.events import UNKNOWN_JOB, JobCompleted, JobFailed, JobReceived
from domain.fleet.allowance import Allowance
from domain.fleet.host import AgentReport, HostId
from domain.fleet.host_effects import LinkEnd
from domain.fleet.link_state import Recorded
from domain.fleet.plain_results import accept_of, result_of
from domain.link_messages import Unusable

logger = logging.getLogger(__name__)

PING_S: Final = 30.0
SILENCE_S: Final = 90.0
USELESS: Final = 200
USELESS_PER_S: Final = 2.0
"""Frames that cannot be used, or are about jobs that are none of the host's."""


class PlainHost:
    """A `LinkOwner`, and an `AttendedLink` for `LiveHosts`."""

    __slots__ = (
        "_delivery",
        "_end",
        "_host_id",
        "_link",
        "_live",
        "_patience",
        "_pinged_at",
        "_recording",
        "_report",
        "_tools",
        "slot",
    )

    def __init__(
        self,
        link: AgentLink,
        request: UpgradeRequest,
        host_id: HostId,
        *,
        since: float,
        tools: LinkTools,
        live: LiveHosts,
    ) -> None:
        now = tools.clock.monotonic()
        self.slot = 0
        self._link = link
        self._host_id = host_id
        self._tools = tools
        self._live = live
        self._end: LinkEnd | None = None
        self._pinged_at = now
        self._patience = Allowance(USELESS, USELESS_PER_S, now)
        self._report = _report_of(request, seconds_now(tools.clock))
        self._recording = Recording(tools, self)
        self._delivery = PlainDelivery(tools, self)
        previous = live.register(host_id, self, since)
        if not self.is_over:
            live.reports.arrived(host_id, self._report)
            logger.info("host %s is online over v1, from %s", host_id, request.address)
            live.due(self, now + PING_S)
            self._delivery.open(previous)

    @property
    def protocol(self) -> int:
        """See `AttendedLink`."""
        return 1

    @property
    def report(self) -> AgentReport:
        """See `AttendedLink`."""
        return self._report

    @property
    def is_checking(self) -> bool:
        """See `AttendedLink`: it was before it came here."""
        return False

    @property
    def is_known(self) -> bool:
        """See `LinkOwner`."""
        return True

    @property
    def host_id(self) -> HostId:
        """Whose link it is."""
        return self._host_id

    @property
    def link(self) -> AgentLink:
        """Where its agent is heard and spoken to."""
        return self._link

    @property
    def is_over(self) -> bool:
        """Whether nothing more is heard or said."""
        return self._end is not None

    def heard(self, message: Spoken, size: int) -> None:
        """See `LinkOwner`."""
        if self.is_over:
            return
        match message:
            case JobReceived():
                if message.job_id != UNKNOWN_JOB:
                    self._recording.take(accept_of(message), size)
            case JobCompleted() | JobFailed():
                if message.job_id == UNKNOWN_JOB:
                    self._is_useless(
                        f"it could not read a message: {result_of(message).error[:200]}"
                    )
                    return
                # To the agent, a pong says that its results are safe: not before they are.
                self._link.hold_pongs()
                self._recording.take(result_of(message), size)
            case Unusable():
                self._is_useless(str(message.error))
            case _:
                raise AssertionError(f"{message!r} is not of v1")

    def writable(self) -> None:
        """See `LinkOwner`."""
        if not self.is_over:
            self._delivery.go_on()

    def ended(self, why: str, *, answered: bool) -> None:
        """See `LinkOwner`."""
        if self._end is LinkEnd.REPLACED and answered:
            self._live.replaced_alive(self._host_id)
        self.end(LinkEnd.SILENT, why)

    def recorded(self, recorded: Recorded) -> None:
        """What `Recording` tells: something that was said is durable."""
        self._delivery.ended(recorded.ended)
        for job_id in recorded.strays:
            self._is_useless(f"job {job_id!r} is none of its jobs")
        if not self._recording.has_waiting:
            self._link.release_pongs()

    def wake(self) -> None:
        """See `AttendedLink`."""
        if not self.is_over:
            self._delivery.go_on()

    def go_away(self, window_s: float) -> None:
        """See `AttendedLink`: it cannot be asked, and comes again by itself once it is put out."""

    def end(self, end: LinkEnd, reason: str) -> None:
        """See `AttendedLink`."""
        if self.is_over:
            return
        self._end = end
        self._live.left(self._host_id, self)
        self._live.reports.left(self._host_id, self._report)
        self._delivery.stop()
        logger.info("the link to host %s has ended: %s: %s", self._host_id, end.value, reason)
        self._link.close(end, reason)

    async def settled(self) -> None:
        """See `AttendedLink`."""
        await self._delivery.settled()
        await self._recording.settled()

    def tick(self, now: float) -> float | None:
        """See `AttendedLink`."""
        if self.is_over:
            return None
        silence_s = self._link.silence_s
        if silence_s >= SILENCE_S:
            self.end(LinkEnd.SILENT, f"nothing was heard for {silence_s:.0f} s")
            return None
        if now >= self._pinged_at + PING_S:
            self._pinged_at = now
            self._link.ping()
            if silence_s < PING_S:
                self._report = self._live.reports.heard(self._host_id, self._report, {})
        self._delivery.tick(now)
        return min(self._pinged_at + PING_S, now + SILENCE_S - silence_s)

    def _is_useless(self, why: str) -> None:
        logger.warning(
            "what the agent of host %s said is of no use: %r", self._host_id, why[:LONGEST_WORDS]
        )
        if not self._patience.take(1.0, self._tools.clock.monotonic()):
            self.end(LinkEnd.TOO_MUCH, "too many messages that are of no use")


def _report_of(request: UpgradeRequest, now: float) -> AgentReport:
    return AgentReport(
        protocol=1,
        version=tidy(request.version),
        architecture=tidy(request.architecture),
        hostname=tidy(request.hostname),
        address=request.address,
        connected_at=now,
        last_seen_at=now,
    )
