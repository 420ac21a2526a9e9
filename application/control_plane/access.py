"""Who presents a token, and what they may do."""

from __future__ import annotations

import hmac
import logging
from dataclasses import replace
from typing import Final

from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.people import KnownToken, People
from application.ports.randomness import Randomness
from domain.errors import StorageUnavailable
from domain.fleet.access import (
    ADMINISTRATOR_PREFIX,
    MEASURING,
    Grant,
    Principal,
    Role,
    scopes_of,
)
from domain.fleet.audit import Noted
from domain.fleet.people import AccessToken, TokenId, TokenKind, User, UserId, UserName
from domain.identity import token_hash_of

logger = logging.getLogger(__name__)

ADMINISTRATOR: Final = UserName("administrator")
KNOWN_S: Final = 2.0
"""So long a token that was good is good without asking the database; it is this program's alone."""
MOST_KNOWN: Final = 1_000
USE_NOTED_EVERY_S: Final = 60.0


def new_token(randomness: Randomness) -> str:
    """One that nobody knows yet."""
    return ADMINISTRATOR_PREFIX + randomness.token()


class Access:
    """Tokens of the API."""

    def __init__(
        self,
        *,
        people: People,
        randomness: Randomness,
        clock: Clock,
        metrics_token: str | None = None,
    ) -> None:
        self._people = people
        self._randomness = randomness
        self._clock = clock
        self._known: dict[str, tuple[Principal, float]] = {}
        self._used_at: dict[TokenId, float] = {}
        self._metrics_hash = None if metrics_token is None else token_hash_of(metrics_token)

    async def is_new(self) -> bool:
        """Whether there was never a user: nothing was ever asked for over the API."""
        return not await self._people.is_set_up()

    async def adopt(self, token_hash: str) -> None:
        """Make the token of this hash the administrator's; all others are worth nothing from then on."""
        now = seconds_now(self._clock)
        user = User(
            UserId(self._randomness.new_id("user")), ADMINISTRATOR, (Grant(Role.ADMIN),), now
        )
        token = AccessToken(
            TokenId(self._randomness.new_id("tok")), user.id, "reset", TokenKind.API, now
        )
        noted = Noted(
            at=now, user="", action="token.reset", target=ADMINISTRATOR.value, address="console"
        )
        await self._people.take_over(user, token, token_hash, noted)
        self.forget()

    def forget(self) -> None:
        """Ask the database again who somebody is: something has changed."""
        self._known.clear()

    async def principal(self, presented: str) -> Principal | None:
        """Whose token that is; None where it is nobody's."""
        token_hash = token_hash_of(presented)
        known = self._known.get(token_hash)
        if known is not None and self._clock.monotonic() - known[1] < KNOWN_S:
            return known[0]
        return await self.with_hash(token_hash)

    async def with_hash(self, token_hash: str) -> Principal | None:
        """Whose token has this hash, as the database has it at this moment."""
        if self._metrics_hash is not None and hmac.compare_digest(token_hash, self._metrics_hash):
            return Principal("metrics", "metrics", MEASURING, token_hash)
        looked_up_at, now = self._clock.monotonic(), seconds_now(self._clock)
        known = await self._people.token_with(token_hash)
        if known is None or known.user.is_disabled or not known.token.is_good(now):
            self._known.pop(token_hash, None)
            return None
        principal = principal_of(known, token_hash)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[token_hash] = (principal, looked_up_at)
        last = known.token.last_used_at
        if last is None or now - last >= USE_NOTED_EVERY_S:
            self._used_at[known.token.id] = now
        return principal

    async def run(self) -> None:
        """Write down now and then when tokens were used; for ever."""
        while True:
            await self._clock.sleep(USE_NOTED_EVERY_S)
            await self.note_used()

    async def note_used(self) -> None:
        """Write down when tokens were used since the last time."""
        used_at, self._used_at = self._used_at, {}
        if used_at:
            try:
                await self._people.note_used(used_at)
            except StorageUnavailable as exc:
                logger.warning("when tokens were used is not written down: %s", exc)


def principal_of(known: KnownToken, token_hash: str) -> Principal:
    """Who has a token, and what they may do with it."""
    user, token = known.user, known.token
    return Principal(
        user.id,
        user.name.value,
        scopes_of(user.grants, token.scope),
        token_hash,
        token.id,
    )


def at_address(principal: Principal, address: str) -> Principal:
    """The same, asking from there."""
    return replace(principal, address=address)
