"""Finds out who an agent is: by its token, by its signature, or by an enrolment that makes it a host.

Whoever proves who it is gets in at once, whatever others at its address do: only failures are
counted, those of enrolments by themselves. They are answered slowly, and from some number on an
address is told to stay away.
"""

from __future__ import annotations

import logging
from typing import Final

from application.control_plane.times import seconds_now
from application.ports.agent_link import TurnedAway, UpgradeRequest
from application.ports.clock import Clock
from application.ports.host_directory import HostDirectory
from application.ports.identity import Signer
from application.ports.randomness import Randomness
from domain.errors import Conflict, Forbidden, NotFound, StorageUnavailable
from domain.fleet.attempts import Attempts, network_of
from domain.fleet.host import Credential, Host, HostId, HostName
from domain.fleet.host_effects import LinkEnd
from domain.fleet.labels import NO_LABELS
from domain.identity import enroll_text, hello_text, token_hash_of
from domain.link_messages import Enroll, Hello

logger = logging.getLogger(__name__)

REFUSAL_S: Final = 1.0
"""So long a wrong proof waits for its answer."""
MOST_WAITING: Final = 256
"""Wrong proofs that wait at a time; past that they are answered at once, as waiting costs us more."""
FAILURES: Final = 20
FAILURES_PER_S: Final = 0.1
"""What an address may get wrong at once, and in the long run."""
STAY_AWAY_S: Final = 60.0
BUSY_S: Final = 5.0
ADDRESSES: Final = 10_000
_NOBODY: Final = "A" * 43 + "="
"""A key to check signatures of unknown hosts against, so that they take as long as any."""
_UNNAMED: Final = HostName("new")


class Doorkeeper:
    """Every question is answered with the host, or how its asker is to be turned away: see `hold_back`."""

    def __init__(
        self,
        *,
        directory: HostDirectory,
        signer: Signer,
        randomness: Randomness,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._signer = signer
        self._randomness = randomness
        self._clock = clock
        self._failures = Attempts(FAILURES, FAILURES_PER_S, ADDRESSES)
        self._enrolment_failures = Attempts(FAILURES, FAILURES_PER_S, ADDRESSES)
        self._waiting = 0

    async def by_token(self, request: UpgradeRequest) -> Host | TurnedAway:
        """Whose the bearer token of the upgrade request is."""
        try:
            host = None
            if request.token:
                # The token is random and long: that the hash is looked up, and how long that takes,
                # tells nobody anything about another one.
                host = await self._directory.with_token(token_hash_of(request.token))
        except StorageUnavailable as exc:
            return _busy(exc)
        return self._judged(host, request.address, "a token")

    async def by_hello(
        self, hello: Hello, challenge_nonce: str, request: UpgradeRequest
    ) -> Host | TurnedAway:
        """Who says HELLO: by its signature, or else by the token of its upgrade request."""
        if not hello.host_id and not hello.signature:
            return await self.by_token(request)
        try:
            host = await self._directory.host(HostId(hello.host_id))
        except NotFound:
            host = None
        except StorageUnavailable as exc:
            return _busy(exc)
        has_key = host is not None and host.credential is Credential.KEY
        key = host.public_key if host is not None and has_key else _NOBODY
        text = hello_text(
            challenge_nonce, hello.nonce, hello.host_id, hello.epoch, self._signer.public_key
        )
        is_signed = self._signer.is_signed(text, hello.signature, key)
        return self._judged(host if has_key and is_signed else None, request.address, "a signature")

    async def enrol(
        self, enroll: Enroll, challenge_nonce: str, request: UpgradeRequest
    ) -> Host | TurnedAway:
        """Make a host of whoever has an enrolment's token.

        The token is looked up first: nobody guesses one, and whoever has none costs neither a
        signature nor a write.
        """
        token_hash = token_hash_of(enroll.token)
        now = seconds_now(self._clock)
        try:
            is_good = await self._may_enrol(token_hash, enroll.public_key, now)
        except StorageUnavailable as exc:
            return _busy(exc)
        if not is_good:
            return self._enrolled(None, request.address, "an enrolment's token")
        text = enroll_text(
            challenge_nonce, enroll.nonce, token_hash, enroll.public_key, self._signer.public_key
        )
        if not self._signer.is_signed(text, enroll.signature, enroll.public_key):
            return self._enrolled(None, request.address, "an enrolment's signature")
        host = Host(
            HostId(self._randomness.new_id("host")),
            _UNNAMED,
            NO_LABELS,
            Credential.KEY,
            now,
            public_key=enroll.public_key,
        )
        try:
            host = await self._directory.redeem(token_hash, host, now, request.address)
        except (Forbidden, Conflict) as exc:
            return self._enrolled(None, request.address, f"an enrolment ({exc})")
        except StorageUnavailable as exc:
            return _busy(exc)
        return self._enrolled(host, request.address, "an enrolment")

    async def hold_back(self, turned_away: TurnedAway) -> None:
        """Let whoever has proven nothing wait for the answer; not during a turn, for which others wait."""
        is_wrong = turned_away.end in (LinkEnd.UNPROVEN, LinkEnd.REVOKED)
        if is_wrong and self._waiting < MOST_WAITING:
            self._waiting += 1
            try:
                await self._clock.sleep(REFUSAL_S)
            finally:
                self._waiting -= 1

    async def _may_enrol(self, token_hash: str, public_key: str, now: float) -> bool:
        """Whether the token is good for this key, as far as reading tells."""
        enrolment = await self._directory.enrolment_with(token_hash)
        if enrolment is None:
            return False
        if enrolment.host_id is None:
            return enrolment.is_open(now)
        # Who did not hear the answer asks again, with the same key.
        return (await self._directory.host(enrolment.host_id)).public_key == public_key

    def _enrolled(self, host: Host | None, address: str, what: str) -> Host | TurnedAway:
        return self._let_in(host, address, what, self._enrolment_failures)

    def _judged(self, host: Host | None, address: str, what: str) -> Host | TurnedAway:
        return self._let_in(host, address, what, self._failures)

    def _let_in(
        self, host: Host | None, address: str, what: str, failures: Attempts
    ) -> Host | TurnedAway:
        if host is not None and not host.is_revoked:
            return host
        if not failures.may(network_of(address), self._clock.monotonic()):
            return TurnedAway(LinkEnd.TOO_MUCH, STAY_AWAY_S)
        if host is not None:
            logger.warning("%s is host %s's (%s), which is revoked", what, host.name, host.id)
        logger.warning("%s was not good; it came from %s", what, address)
        return TurnedAway(LinkEnd.UNPROVEN if host is None else LinkEnd.REVOKED)


def _busy(exc: StorageUnavailable) -> TurnedAway:
    logger.warning("who an agent is cannot be found out: %s", exc)
    return TurnedAway(LinkEnd.GOING_AWAY, BUSY_S)
