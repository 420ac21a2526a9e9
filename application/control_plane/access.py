"""Who presents a token, and the administrator's token: made once, shown once, kept as a hash."""

from __future__ import annotations

import hmac
from typing import Final

from application.control_plane.times import seconds_now
from application.ports.access_tokens import AccessToken, AccessTokens
from application.ports.clock import Clock
from application.ports.randomness import Randomness
from domain.fleet.access import ADMINISTRATOR_PREFIX, EVERYTHING, MEASURING, Principal
from domain.identity import token_hash_of

ADMINISTRATOR: Final = "administrator"
KNOWN_S: Final = 2.0
"""So long a token that was good is good without asking the database; it is this program's alone."""


def new_administrator_token(randomness: Randomness) -> str:
    """One that nobody knows yet."""
    return ADMINISTRATOR_PREFIX + randomness.token()


class Access:
    """Tokens of the API."""

    def __init__(
        self,
        *,
        tokens: AccessTokens,
        randomness: Randomness,
        clock: Clock,
        metrics_token: str | None = None,
    ) -> None:
        self._tokens = tokens
        self._randomness = randomness
        self._clock = clock
        self._known: dict[str, tuple[Principal, float]] = {}
        self._metrics_hash = None if metrics_token is None else token_hash_of(metrics_token)

    async def is_new(self) -> bool:
        """Whether there was never a token: nothing was ever asked for over the API."""
        return not await self._tokens.has_any()

    async def first_token(self) -> str | None:
        """The administrator's token, the first time; None ever after."""
        token = new_administrator_token(self._randomness)
        is_first = await self._tokens.add_first(self._record(), token_hash_of(token))
        return token if is_first else None

    async def adopt(self, token_hash: str) -> None:
        """Make the token of this hash the administrator's; all others are worth nothing from then on."""
        await self._tokens.replace_all(self._record(), token_hash)
        self._known.clear()

    async def principal(self, presented: str) -> Principal | None:
        """Whose token that is; None where it is nobody's."""
        token_hash = token_hash_of(presented)
        now = self._clock.monotonic()
        for known, (principal, looked_up_at) in self._known.items():
            if hmac.compare_digest(token_hash, known) and now - looked_up_at < KNOWN_S:
                return principal
        return await self.with_hash(token_hash)

    async def with_hash(self, token_hash: str) -> Principal | None:
        """Whose token has this hash, as the database has it at this moment."""
        if self._metrics_hash is not None and hmac.compare_digest(token_hash, self._metrics_hash):
            return Principal("metrics", "metrics", MEASURING, token_hash)
        looked_up_at = self._clock.monotonic()
        token = await self._tokens.with_hash(token_hash)
        if token is None:
            self._known.pop(token_hash, None)
            return None
        principal = Principal(token.id, token.name, EVERYTHING, token_hash)
        # There are as many as there are good tokens: few.
        self._known[token_hash] = (principal, looked_up_at)
        return principal

    def _record(self) -> AccessToken:
        return AccessToken(self._randomness.new_id("tok"), ADMINISTRATOR, seconds_now(self._clock))
