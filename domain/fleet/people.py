"""Users, and the tokens by which their programs are known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

from domain.errors import InvalidInput
from domain.fleet.access import Grant
from domain.validation import check_number

UserId = NewType("UserId", str)
TokenId = NewType("TokenId", str)

MAX_GRANTS: Final = 64
SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 256
"""Characters. Length is what counts: NIST SP 800-63B, section 5.1.1.2, which asks for no mixture."""
SESSION_S: Final = 12 * 3600.0
"""So long somebody who has logged in is known."""
TOKEN_S: Final = 90 * 24 * 3600.0
LONGEST_TOKEN_S: Final = 366 * 24 * 3600.0
SHORTEST_TOKEN_S: Final = 60.0

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,61}[A-Za-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._ @-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class UserName:
    """What somebody is called; unique, whatever the case of its letters."""

    value: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.value):
            raise InvalidInput(
                "name",
                "a user's name has 1 to 63 characters A-Z, a-z, 0-9, '.', '_', '@' and '-', "
                "and begins and ends with a letter or a digit",
            )

    def __str__(self) -> str:
        return self.value

    @property
    def key(self) -> str:
        """What two names must not share."""
        return self.value.lower()


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may use the API. Nothing of the password is here, not even its hash."""

    id: UserId
    name: UserName
    grants: tuple[Grant, ...]
    created_at: float
    has_password: bool = False
    is_disabled: bool = False

    def __post_init__(self) -> None:
        check_number("grants", len(self.grants), MAX_GRANTS)

    @property
    def is_administrator(self) -> bool:
        """Whether everything is theirs to do: of those, one at least has to be left."""
        return not self.is_disabled and any(grant.is_full for grant in self.grants)


class TokenKind(StrEnum):
    """What a token came of."""

    SESSION = "session"
    """Somebody has logged in."""
    API = "api"
    """It was made, for a program."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token of the API; the token itself is known by its SHA-256 in hex alone.

    `scope` makes it good for less than its user may do. Times are seconds since 1970.
    """

    id: TokenId
    user_id: UserId
    name: str
    kind: TokenKind
    created_at: float
    scope: Grant | None = None
    expires_at: float | None = None
    last_used_at: float | None = None

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.name):
            raise InvalidInput(
                "name",
                "a token's name has 1 to 63 characters A-Z, a-z, 0-9, '.', '_', '@', '-' and "
                "spaces, and begins and ends with a letter or a digit",
            )

    def is_good(self, now: float) -> bool:
        """Whether its time is not over."""
        return self.expires_at is None or now < self.expires_at


def check_password(password: str) -> None:
    """Raise `InvalidInput` where it is none; it is in no message."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidInput(
            "password", f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
        )


def check_lifetime(seconds: float) -> None:
    """Raise `InvalidInput` where a token must not be good for so long."""
    if not SHORTEST_TOKEN_S <= seconds <= LONGEST_TOKEN_S:
        raise InvalidInput(
            "expires_in_s",
            f"must be {SHORTEST_TOKEN_S:g} to {LONGEST_TOKEN_S:g} seconds",
        )


def administrators_left(users: Sequence[User]) -> bool:
    """Whether any of these may do everything."""
    return any(user.is_administrator for user in users)
