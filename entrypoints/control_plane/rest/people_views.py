"""What the API takes and shows of people and their tokens. No password and no hash is ever shown."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from application.control_plane.logins import Login as LoggedIn
from application.ports.people import KnownToken
from domain.fleet import access
from domain.fleet.access import Role
from domain.fleet.labels import Labels
from domain.fleet.people import (
    LONGEST_PASSWORD,
    LONGEST_TOKEN_S,
    MAX_GRANTS,
    SHORTEST_PASSWORD,
    SHORTEST_TOKEN_S,
    TokenKind,
)
from domain.fleet.people import AccessToken as DomainToken
from domain.fleet.people import User as DomainUser
from entrypoints.control_plane.rest.requests import LabelMap, Strict, Text, labels_of
from entrypoints.control_plane.rest.views import Moment, PageOf, maybe, moment

UserNameText = Annotated[
    Text,
    Field(
        description="Unique, whatever its case",
        examples=["ann"],
        json_schema_extra={"pattern": "^[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,61}[A-Za-z0-9])?$"},
    ),
]
Password = Annotated[
    str,
    Field(
        max_length=4 * LONGEST_PASSWORD,
        json_schema_extra={
            "format": "password",
            "writeOnly": True,
            "minLength": SHORTEST_PASSWORD,
        },
        examples=["<your password>"],
    ),
]


class GrantBody(Strict):
    """A role, for the hosts that have all of these labels; without labels for everything."""

    role: Role = Field(strict=False)
    labels: LabelMap = Field(default_factory=dict)

    def as_domain(self) -> access.Grant:
        """Raises `InvalidInput`."""
        return access.Grant(self.role, labels_of(self.labels))


Grants = Annotated[list[GrantBody], Field(max_length=MAX_GRANTS)]


class SetUp(Strict):
    """Who is to be the first user, and the code that the program printed when it was started."""

    code: str = Field(max_length=256, json_schema_extra={"format": "password", "writeOnly": True})
    name: UserNameText
    password: Password


class Credentials(Strict):
    """Who somebody is."""

    name: UserNameText
    password: Password


class NewPassword(Strict):
    """Another password for oneself."""

    current: Password
    new: Password


class NewUser(Strict):
    """Somebody who is to use the API; without a password, by tokens alone."""

    name: UserNameText
    grants: Grants
    password: Password | None = None


class UserUpdate(Strict):
    """What is to be different; what is missing stays."""

    grants: Grants | None = Field(default=None, description="Replace all that are there")
    password: Password | None = None
    is_disabled: bool | None = None


class NewApiToken(Strict):
    """A token for a program; `role` and `labels` make it good for less than its user may do."""

    name: Annotated[Text, Field(examples=["ci"])]
    role: Role | None = Field(default=None, strict=False)
    labels: LabelMap = Field(default_factory=dict)
    expires_in_s: (
        Annotated[float, Field(ge=SHORTEST_TOKEN_S, le=LONGEST_TOKEN_S, allow_inf_nan=False)] | None
    ) = Field(default=None, description="90 days, where it is missing", examples=[86400])
    user: UserNameText | None = Field(default=None, description="Another one, for administrators")

    def scope(self) -> access.Grant | None:
        """Raises `InvalidInput`."""
        if self.role is None and not self.labels:
            return None
        return access.Grant(self.role or Role.ADMIN, labels_of(self.labels))


class GrantView(BaseModel):
    """A role, and for which hosts."""

    role: Role
    labels: dict[str, str] = Field(examples=[{"env": "prod"}])


class User(BaseModel):
    """Somebody who may use the API."""

    id: str = Field(examples=["user_01KG9YS7G08Z3KX5V0T9QMC7RW"])
    name: str = Field(examples=["ann"])
    grants: list[GrantView]
    has_password: bool
    is_disabled: bool
    created_at: Moment

    @classmethod
    def of(cls, user: DomainUser) -> User:
        """The view of a user."""
        return cls(
            id=user.id,
            name=user.name.value,
            grants=[_grant(one) for one in user.grants],
            has_password=user.has_password,
            is_disabled=user.is_disabled,
            created_at=moment(user.created_at),
        )


class AccessToken(BaseModel):
    """A token, but for itself. `role` null and no labels: all that its user may do."""

    id: str = Field(examples=["tok_01KG9YS7G08Z3KX5V0T9QMC7RW"])
    user: str = Field(examples=["ann"])
    name: str = Field(examples=["ci"])
    kind: TokenKind
    role: Role | None
    labels: dict[str, str]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None = Field(description="To the minute")

    @classmethod
    def of(cls, token: DomainToken, user: DomainUser) -> AccessToken:
        """The view of a token."""
        labels = Labels() if token.scope is None else token.scope.labels
        return cls(
            id=token.id,
            user=user.name.value,
            name=token.name,
            kind=token.kind,
            role=None if token.scope is None else token.scope.role,
            labels=labels.as_mapping(),
            created_at=moment(token.created_at),
            expires_at=maybe(token.expires_at),
            last_used_at=maybe(token.last_used_at),
        )

    @classmethod
    def of_known(cls, known: KnownToken) -> AccessToken:
        """The view of a token that was found."""
        return cls.of(known.token, known.user)


class AccessTokenWithSecret(BaseModel):
    """A new token. `token` is shown this once."""

    access_token: AccessToken
    token: str = Field(examples=["ida_..."])


class Login(AccessTokenWithSecret):
    """Who is logged in, and the token for all that follows. `token` is shown this once."""

    user: User

    @classmethod
    def of_login(cls, login: LoggedIn) -> Login:
        """The view of a login."""
        return cls(
            user=User.of(login.user),
            access_token=AccessToken.of(login.access_token, login.user),
            token=login.token,
        )


class Me(BaseModel):
    """Who asks."""

    user: User
    access_token: AccessToken


class UserPage(PageOf[User]):
    """Users, by name."""


class AccessTokenPage(PageOf[AccessToken]):
    """Tokens, the newest first."""


def _grant(grant: access.Grant) -> GrantView:
    return GrantView(role=grant.role, labels=grant.labels.as_mapping())
