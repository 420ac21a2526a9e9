"""What comes of an opening of v2: a new host, or a link that goes on where the last one ended."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from application.control_plane.doorkeeper import Doorkeeper
from application.control_plane.link_tools import LinkTools
from application.control_plane.openings import Openings
from application.control_plane.reports import tidy
from application.control_plane.sequenced_host import SequencedHost
from application.control_plane.times import seconds_now
from application.ports.agent_link import TurnedAway
from application.ports.identity import Signer
from application.ports.randomness import Randomness
from domain.errors import StorageUnavailable
from domain.fleet.host import AgentReport, Host
from domain.fleet.host_effects import LinkEnd
from domain.fleet.host_session import HostSession
from domain.fleet.link_state import Heard, LinkState
from domain.fleet.meeting import MORE_THAN_EVER_SENT, Meeting, meeting
from domain.identity import enrolled_text, welcome_text
from domain.job import JobState
from domain.link_messages import Enroll, Enrolled, Hello, Welcome

logger = logging.getLogger(__name__)

_WORDS: Final = {
    LinkEnd.UNPROVEN: "this is not who it says it is",
    LinkEnd.REVOKED: "this host is revoked",
    LinkEnd.TOO_MUCH: "too many wrong proofs came from this address",
    LinkEnd.GOING_AWAY: "the database cannot be asked now",
}


class Welcoming:
    """Its methods are the `Checks` of `SequencedHost`."""

    def __init__(
        self,
        *,
        doorkeeper: Doorkeeper,
        openings: Openings,
        signer: Signer,
        randomness: Randomness,
        tools: LinkTools,
    ) -> None:
        self._doorkeeper = doorkeeper
        self._openings = openings
        self._signer = signer
        self._randomness = randomness
        self._tools = tools

    async def enrol(self, one: SequencedHost, enroll: Enroll) -> None:
        """Make a host of whoever this is, and tell it so; the same answer to the same agent again."""
        nonce = one.opening.challenge_nonce
        async with self._openings.turn():
            found = await self._doorkeeper.enrol(enroll, nonce, one.opening.request)
        if isinstance(found, TurnedAway):
            await self._turn_away(one, found)
            return
        logger.info("host %s (%s) is enrolled", found.name, found.id)
        text = enrolled_text(nonce, enroll.nonce, found.id, found.public_key)
        one.enrolled(Enrolled(found.id, self._signer.sign(text)))

    async def welcome(self, one: SequencedHost, hello: Hello) -> None:
        """Find out who this is and where both sides stand, and say so."""
        async with self._openings.turn():
            found = await self._look_at(one, hello)
        if found is not None:
            await self._turn_away(one, found)

    async def _turn_away(self, one: SequencedHost, found: TurnedAway) -> None:
        await self._doorkeeper.hold_back(found)
        one.end(found.end, _WORDS[found.end])

    async def _look_at(self, one: SequencedHost, hello: Hello) -> TurnedAway | None:
        """Open the link, unless its agent is to be turned away."""
        since = self._tools.clock.monotonic()
        nonce = one.opening.challenge_nonce
        found = await self._doorkeeper.by_hello(hello, nonce, one.opening.request)
        if isinstance(found, TurnedAway):
            return found
        previous = one.register(found.id, since)
        if previous is not None:
            # What it has heard is written down first: its numbers are the ones that we go on from.
            await previous.settled()
        if one.is_over:
            return None
        try:
            await self._meet(one, found, hello)
        except StorageUnavailable as exc:
            self._tools.trouble.with_storage(exc)
            return TurnedAway(LinkEnd.GOING_AWAY)
        return None

    async def _meet(self, one: SequencedHost, host: Host, hello: Hello) -> None:
        store = self._tools.store
        standing = await store.standing(host.id)
        link, is_owed = standing.link, standing.is_owed
        how = meeting(hello, link, store.epoch)
        if how is Meeting.FORGOTTEN:
            logger.warning(
                "host %s: its agent has message %d of ours, where it was sent up to %d and has "
                "acknowledged %d; both begin anew",
                host.id,
                hello.last_seq_seen,
                link.next_seq - 1,
                link.confirmed,
            )
            one.part(self._welcome(one, host, hello, MORE_THAN_EVER_SENT))
            return
        if how is Meeting.ANEW:
            # What had a number has none any more.
            is_owed = True
            link = await store.begin_epoch(host.id, hello.epoch, dict(hello.generations))
        peer_has = hello.last_seq_seen if how is Meeting.RESUME else 0
        link = await self._note(host, hello, link, peer_has)
        welcome = self._welcome(one, host, hello, link.heard)
        welcome = replace(welcome, output_seen=standing.output_seen)
        heartbeat_s, now = self._tools.heartbeat_s, self._tools.clock.monotonic()
        session = HostSession(heard=link.heard, peer_has=peer_has, heartbeat_s=heartbeat_s, now=now)
        report, is_resumed = self._report(one, hello), how is Meeting.RESUME
        one.open(welcome, session, report, is_owed=is_owed, is_resumed=is_resumed)

    async def _note(self, host: Host, hello: Hello, link: LinkState, peer_has: int) -> LinkState:
        """Write down what HELLO tells that is news."""
        running = tuple(job.job_id for job in hello.running if job.state is not JobState.ACCEPTED)
        confirmed = peer_has if peer_has > link.confirmed else None
        if not running and confirmed is None:
            return link
        at = seconds_now(self._tools.clock)
        heard = Heard(host.id, at, running=running, confirmed=confirmed)
        recorded = await self._tools.store.record(heard)
        self._tools.tell(recorded.changed)
        return recorded.link

    def _welcome(self, one: SequencedHost, host: Host, hello: Hello, seen: int) -> Welcome:
        session, epoch = self._randomness.token(), self._tools.store.epoch
        signature = ""
        if hello.signature:
            nonce = one.opening.challenge_nonce
            text = welcome_text(nonce, hello.nonce, host.id, session, epoch)
            signature = self._signer.sign(text)
        return Welcome(
            session, epoch, seen, heartbeat_s=self._tools.heartbeat_s, signature=signature
        )

    def _report(self, one: SequencedHost, hello: Hello) -> AgentReport:
        now = seconds_now(self._tools.clock)
        return AgentReport(
            protocol=2,
            version=tidy(hello.version),
            architecture=tidy(hello.architecture),
            hostname=tidy(hello.hostname),
            address=one.opening.request.address,
            connected_at=now,
            last_seen_at=now,
        )
