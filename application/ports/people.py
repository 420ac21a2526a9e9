"""Where users and tokens of the API are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from domain.fleet.access import Grant
from domain.fleet.audit import Noted
from domain.fleet.page import Page, PageRequest
from domain.fleet.people import AccessToken, TokenId, User, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What is to be different of a user; None stays."""

    grants: tuple[Grant, ...] | None = None
    password_hash: str | None = None
    is_disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token, and whose it is; the user may be disabled, and the token over its time."""

    token: AccessToken
    user: User


class People(Protocol):
    """Users and tokens, durable; errors as of `JobStore`. Each change is noted with it: see `AuditTrail`.

    One who may do everything is always left: what would take the last one away raises `Conflict`.
    """

    async def is_set_up(self) -> bool:
        """Whether there was ever a user: they may be removed, and this stays so."""
        ...

    async def set_up(
        self, user: User, password_hash: str, token: AccessToken, token_hash: str, noted: Noted
    ) -> bool:
        """Keep the first user; False, with nothing done, where there was ever one before."""
        ...

    async def take_over(
        self, user: User, token: AccessToken, token_hash: str, noted: Noted
    ) -> None:
        """Give whoever has the machine a token that is for everything, and take away all others.

        The user of that name gets these grants, has no password and is not disabled any more, or is
        made.
        """
        ...

    async def add_user(self, user: User, password_hash: str | None, noted: Noted) -> None:
        """Raises `Conflict` where the name is taken."""
        ...

    async def user(self, name_or_id: str) -> User:
        """Raises `NotFound`, also for one that was removed."""
        ...

    async def users(self, page: PageRequest) -> Page[User]:
        """By name; not those that were removed."""
        ...

    async def password_hash(self, name: str) -> tuple[User, str] | None:
        """The user of a name and the hash of the password; None where there is none of these."""
        ...

    async def change_user(self, user_id: UserId, change: UserChange, noted: Noted) -> User:
        """Raises `NotFound` and `Conflict`.

        With another password, or disabled, the user's sessions are worth nothing from then on.
        """
        ...

    async def remove_user(self, user_id: UserId, noted: Noted) -> None:
        """With all tokens; the name is free again. Raises `NotFound` and `Conflict`."""
        ...

    async def add_token(
        self, token: AccessToken, token_hash: str, most: int, noted: Noted, proof: str
    ) -> None:
        """Raises `NotFound` where its user is none, `Conflict` where that one has `most` of its kind.

        `proof` is the hash of the user's password, or of a token, by which somebody asks for it. Raises
        `Unproven` where that is worth nothing any more, or where a disabled user would log in.

        Sessions are not refused: the oldest one ends.
        """
        ...

    async def token_with(self, token_hash: str) -> KnownToken | None:
        """Whose token has this hash; None where it is none."""
        ...

    async def token(self, token_id: TokenId) -> KnownToken:
        """Raises `NotFound`."""
        ...

    async def tokens(self, user_id: UserId | None, page: PageRequest) -> Page[KnownToken]:
        """The newest first; of one user, or of all."""
        ...

    async def revoke_token(self, token_id: TokenId, noted: Noted) -> None:
        """Make it worth nothing. Raises `NotFound`."""
        ...

    async def note_used(self, used_at: Mapping[TokenId, float]) -> None:
        """Write down when tokens were last used; unknown ones are passed over."""
        ...

    async def forget_tokens(self, expired_before: float, limit: int) -> int:
        """Forget tokens that expired before then, at most so many; returns how many there were."""
        ...
