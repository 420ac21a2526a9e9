"""Tokens for programs: made by users for themselves, or by administrators; shown once, kept as hashes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from application.control_plane.access import Access, new_token
from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.people import KnownToken, People
from application.ports.randomness import Randomness
from domain.errors import NotPermitted, TooManyAttempts
from domain.fleet.access import Grant, Permission, Principal
from domain.fleet.attempts import Attempts
from domain.fleet.audit import noted_by
from domain.fleet.missing import no_token, no_user
from domain.fleet.page import Page, PageRequest
from domain.fleet.people import (
    TOKEN_S,
    AccessToken,
    TokenId,
    TokenKind,
    User,
    check_lifetime,
)
from domain.identity import token_hash_of

logger = logging.getLogger(__name__)

MOST_TOKENS: Final = 100
MADE: Final = (30, 0.05)
"""How many tokens somebody may make at once, and a second in the long run."""
USERS_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True)
class NewToken:
    """A new token; nobody can show it again."""

    known: KnownToken
    token: str = field(repr=False)


class ApiTokens:
    """One's own, and for whoever may see and change people, everybody's."""

    def __init__(
        self, *, people: People, access: Access, randomness: Randomness, clock: Clock
    ) -> None:
        self._people = people
        self._access = access
        self._randomness = randomness
        self._clock = clock
        self._made = Attempts(*MADE, USERS_KNOWN)

    async def list(self, user: str | None, page: PageRequest, by: Principal) -> Page[KnownToken]:
        """The newest first; of a user, otherwise of all that may be seen. Raises `NotFound`.

        A token that is for less than its user may sees itself alone.
        """
        presented = await self.of(by)
        if presented.token.scope is not None:
            return Page([presented], None)
        if not by.may(Permission.PEOPLE_READ):
            own = await self._people.user(by.id)
            if user is not None and user.lower() not in (own.id, own.name.key):
                raise no_user(user)
            return await self._people.tokens(own.id, page)
        whose = None if user is None else (await self._people.user(user)).id
        return await self._people.tokens(whose, page)

    async def create(
        self,
        name: str,
        by: Principal,
        *,
        user: str | None = None,
        scope: Grant | None = None,
        expires_in_s: float | None = None,
    ) -> NewToken:
        """Make one that is good for `expires_in_s` seconds, 90 days where that is None.

        With a token that is for less than its user may, nobody makes one that is for more: it is
        narrowed in the same way, or refused. Raises `NotFound`, `Conflict`, `InvalidInput`.
        """
        lifetime = TOKEN_S if expires_in_s is None else expires_in_s
        check_lifetime(lifetime)
        whose = await self._whose(user, by)
        now = seconds_now(self._clock)
        presented = (await self.of(by)).token
        if whose.id == by.id:
            scope = _narrowed(scope, presented.scope)
            if presented.kind is TokenKind.API and presented.expires_at is not None:
                # Otherwise one that got into wrong hands could be kept alive for ever.
                lifetime = min(lifetime, presented.expires_at - now)
        token = AccessToken(
            TokenId(self._randomness.new_id("tok")),
            whose.id,
            name,
            TokenKind.API,
            now,
            scope=scope,
            expires_at=now + lifetime,
        )
        detail: dict[str, object] = {"name": name, "expires_in_s": lifetime}
        if scope is not None:
            detail |= {"role": scope.role.value, "labels": scope.labels.as_mapping()}
        noted = noted_by(by, now, "token.add", target=whose.name.value, detail=detail)
        text = new_token(self._randomness)
        if not self._made.may(by.id, self._clock.monotonic()):
            raise TooManyAttempts(self._made.wait_s(by.id, self._clock.monotonic()))
        await self._people.add_token(token, token_hash_of(text), MOST_TOKENS, noted, by.token_hash)
        logger.info("token %s is made for %s, by %s", token.id, whose.name, by.name)
        return NewToken(KnownToken(token, whose), text)

    async def revoke(self, token_id: str, by: Principal) -> None:
        """Make it worth nothing; what it holds open is closed. Raises `NotFound`."""
        known = await self._people.token(TokenId(token_id))
        presented = await self.of(by)
        is_own = known.user.id == by.id and presented.token.scope is None
        is_itself = known.token.id == presented.token.id
        if not (is_itself or is_own or by.may(Permission.PEOPLE_WRITE)):
            raise no_token(token_id)
        noted = noted_by(
            by,
            seconds_now(self._clock),
            "token.revoke",
            target=known.user.name.value,
            detail={"name": known.token.name, "kind": known.token.kind.value},
        )
        await self._people.revoke_token(known.token.id, noted)
        self._access.forget()
        logger.info("token %s is revoked, by %s", token_id, by.name)

    async def of(self, by: Principal) -> KnownToken:
        """The token that was presented. Raises `NotFound` for one of no user."""
        return await self._people.token(TokenId(by.token_id))

    async def _whose(self, user: str | None, by: Principal) -> User:
        own = await self._people.user(by.id)
        if user is None:
            return own
        if not by.may(Permission.PEOPLE_WRITE):
            if user.lower() in (own.id, own.name.key):
                return own
            raise no_user(user)
        return await self._people.user(user)


def _narrowed(scope: Grant | None, presented: Grant | None) -> Grant | None:
    if presented is None or scope is None:
        return scope or presented
    both = presented.narrowed_by(scope)
    if both is None:
        raise NotPermitted("labels: the token that asks is for hosts with other labels")
    return both
