"""Where connections of agents come in: lets in those who may, and finds each an owner."""

from __future__ import annotations

from typing import Final

from application.control_plane.doorkeeper import Doorkeeper
from application.control_plane.link_tools import LinkTools
from application.control_plane.opening_stage import Checks, OpeningStage
from application.control_plane.plain_host import PlainHost
from application.control_plane.presence import LiveHosts
from application.control_plane.sequenced_host import SequencedHost
from application.ports.agent_link import (
    AgentLink,
    LetIn,
    LinkOwner,
    TurnedAway,
    UpgradeRequest,
)
from application.ports.identity import Signer
from application.ports.randomness import Randomness
from application.ports.transport import SEQUENCED
from domain.fleet.host_effects import LinkEnd
from domain.link_messages import Challenge

RETRY_AFTER_S: Final = 5.0


class AgentReception:
    """The `Reception` of the control plane."""

    def __init__(
        self,
        *,
        doorkeeper: Doorkeeper,
        checks: Checks,
        live: LiveHosts,
        tools: LinkTools,
        signer: Signer,
        randomness: Randomness,
    ) -> None:
        self._doorkeeper = doorkeeper
        self._checks = checks
        self._live = live
        self._tools = tools
        self._signer = signer
        self._randomness = randomness

    async def admit(self, request: UpgradeRequest) -> LetIn | TurnedAway:
        """See `Reception`."""
        since = self._tools.clock.monotonic()
        openings = self._live.openings
        if not await openings.room():
            return TurnedAway(LinkEnd.GOING_AWAY, RETRY_AFTER_S)
        if request.protocol == SEQUENCED:
            return LetIn(since)
        async with openings.turn():
            found = await self._doorkeeper.by_token(request)
        if isinstance(found, TurnedAway):
            await self._doorkeeper.hold_back(found)
            return found
        return LetIn(since, found)

    def attend(self, link: AgentLink, request: UpgradeRequest, let_in: LetIn) -> LinkOwner:
        """See `Reception`."""
        if let_in.host is not None:
            return PlainHost(
                link,
                request,
                let_in.host.id,
                since=let_in.since,
                tools=self._tools,
                live=self._live,
            )
        clock = self._tools.clock
        challenge = Challenge(
            self._randomness.token(),
            clock.now().isoformat(timespec="seconds"),
            self._signer.public_key,
        )
        opening = OpeningStage(request, challenge, self._tools, self._checks)
        return SequencedHost(link, opening, tools=self._tools, live=self._live)
