"""What a link of v2 is until its agent is welcome: carries out what the opening says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from application.control_plane.link_tools import LinkTools, is_running
from application.ports.agent_link import UpgradeRequest
from domain.fleet.host_effects import CheckEnrolment, CheckProof, LinkEnd
from domain.fleet.host_opening import HostOpening
from domain.link_messages import Challenge, Enroll, Hello

if TYPE_CHECKING:
    from application.control_plane.sequenced_host import SequencedHost


@dataclass(frozen=True, slots=True)
class Checks:
    """What is done with an opening, each with the link that it is of; both may take their time."""

    enrol: Callable[[SequencedHost, Enroll], Awaitable[None]]
    welcome: Callable[[SequencedHost, Hello], Awaitable[None]]


class OpeningStage:
    """Dropped with all that it holds once the agent is welcome."""

    __slots__ = ("_checks", "_task", "_tools", "request", "script")

    def __init__(
        self, request: UpgradeRequest, challenge: Challenge, tools: LinkTools, checks: Checks
    ) -> None:
        self.request = request
        self.script = HostOpening(challenge, tools.clock.monotonic())
        self._tools = tools
        self._checks = checks
        self._task: asyncio.Task[None] | None = None

    @property
    def challenge_nonce(self) -> str:
        """What the agent signs."""
        return self.script.challenge.nonce

    @property
    def is_checking(self) -> bool:
        """Whether what the agent has presented is being looked at."""
        return is_running(self._task)

    def check(self, one: SequencedHost, effect: CheckEnrolment | CheckProof) -> None:
        """Look at what it has presented."""
        self._task = self._tools.crew.start(
            partial(self._check, one, effect),
            "opening a link",
            lambda: one.end(LinkEnd.BROKEN, "the link cannot be opened"),
        )
        if self._task is None:
            one.end(LinkEnd.GOING_AWAY, "the control plane goes away")

    def stop(self) -> None:
        """The link is over."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def settled(self) -> None:
        """Wait until nothing is looked at any more."""
        while is_running(self._task):
            await asyncio.wait([self._task])

    async def _check(self, one: SequencedHost, effect: CheckEnrolment | CheckProof) -> None:
        try:
            if isinstance(effect, CheckEnrolment):
                await self._checks.enrol(one, effect.enroll)
            else:
                await self._checks.welcome(one, effect.hello)
        finally:
            self._task = None
