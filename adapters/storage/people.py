"""Users and tokens in a database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, select

from adapters.storage import people_changes
from adapters.storage.pages import by_name, newest_first
from adapters.storage.people_rows import token_of, user_of
from adapters.storage.reader import Reader
from adapters.storage.tables import IS_THERE, TOKENS, USERS
from adapters.storage.writer import Writer
from application.ports.people import KnownToken, UserChange
from domain.fleet.audit import Noted
from domain.fleet.missing import no_token, no_user
from domain.fleet.page import Page, PageRequest
from domain.fleet.people import AccessToken, TokenId, User, UserId

_WITH_USER: Final[Select[Any]] = select(
    TOKENS, *(column.label(f"user_{column.name}") for column in USERS.c if column.name != "id")
).join_from(TOKENS, USERS, TOKENS.c.user_id == USERS.c.id)
_WITH_HASH: Final = _WITH_USER.where(TOKENS.c.token_hash == bindparam("of_hash"))


class SqlPeople:
    """See `People`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def is_set_up(self) -> bool:
        """See `People`."""
        return await self._reader(people_changes.is_set_up)

    async def set_up(
        self, user: User, password_hash: str, token: AccessToken, token_hash: str, noted: Noted
    ) -> bool:
        """See `People`."""
        return await self._writer.carry_out(
            lambda tx: people_changes.set_up(tx, user, password_hash, token, token_hash, noted),
            host_ids=(),
        )

    async def take_over(
        self, user: User, token: AccessToken, token_hash: str, noted: Noted
    ) -> None:
        """See `People`."""
        await self._writer.carry_out(
            lambda tx: people_changes.take_over(tx, user, token, token_hash, noted), host_ids=()
        )

    async def add_user(self, user: User, password_hash: str | None, noted: Noted) -> None:
        """See `People`."""
        await self._writer.carry_out(
            lambda tx: people_changes.add_user(tx, user, password_hash, noted), host_ids=()
        )

    async def user(self, name_or_id: str) -> User:
        """See `People`."""
        return await self._reader(lambda connection: _user(connection, name_or_id))

    async def users(self, page: PageRequest) -> Page[User]:
        """See `People`."""
        there = select(USERS).where(IS_THERE)
        columns = (USERS.c.name_key, USERS.c.id)
        return await self._reader(
            lambda connection: by_name(connection, there, columns, page, user_of)
        )

    async def password_hash(self, name: str) -> tuple[User, str] | None:
        """See `People`."""
        named = select(USERS).where(USERS.c.name_key == name.lower(), IS_THERE)
        row = await self._reader(lambda connection: connection.execute(named).one_or_none())
        if row is None or row.password_hash is None:
            return None
        return user_of(row), row.password_hash

    async def change_user(self, user_id: UserId, change: UserChange, noted: Noted) -> User:
        """See `People`."""
        return await self._writer.carry_out(
            lambda tx: people_changes.change_user(tx, user_id, change, noted), host_ids=()
        )

    async def remove_user(self, user_id: UserId, noted: Noted) -> None:
        """See `People`."""
        await self._writer.carry_out(
            lambda tx: people_changes.remove_user(tx, user_id, noted), host_ids=()
        )

    async def add_token(
        self, token: AccessToken, token_hash: str, most: int, noted: Noted, proof: str
    ) -> None:
        """See `People`."""
        await self._writer.carry_out(
            lambda tx: people_changes.add_token(tx, token, token_hash, most, noted, proof),
            host_ids=(),
        )

    async def token_with(self, token_hash: str) -> KnownToken | None:
        """See `People`."""
        # The token is random and long: how long its hash takes to be found tells nobody anything.
        return await self._reader(lambda connection: _with_hash(connection, token_hash))

    async def token(self, token_id: TokenId) -> KnownToken:
        """See `People`."""
        query = _WITH_USER.where(TOKENS.c.id == token_id)
        row = await self._reader(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise no_token(token_id)
        return _known(row)

    async def tokens(self, user_id: UserId | None, page: PageRequest) -> Page[KnownToken]:
        """See `People`."""
        query = _WITH_USER if user_id is None else _WITH_USER.where(TOKENS.c.user_id == user_id)
        return await self._reader(
            lambda connection: newest_first(connection, [query], TOKENS.c.place, page, _known)
        )

    async def revoke_token(self, token_id: TokenId, noted: Noted) -> None:
        """See `People`."""
        await self._writer.carry_out(
            lambda tx: people_changes.revoke_token(tx, token_id, noted), host_ids=()
        )

    async def note_used(self, used_at: Mapping[TokenId, float]) -> None:
        """See `People`."""
        await self._writer.carry_out(lambda tx: people_changes.note_used(tx, used_at), host_ids=())

    async def forget_tokens(self, expired_before: float, limit: int) -> int:
        """See `People`."""
        return await self._writer.carry_out(
            lambda tx: people_changes.forget_tokens(tx, expired_before, limit), host_ids=()
        )


def _user(connection: Connection, name_or_id: str) -> User:
    known = select(USERS).where(IS_THERE)
    for query in (
        known.where(USERS.c.id == name_or_id),
        known.where(USERS.c.name_key == name_or_id.lower()),
    ):
        row = connection.execute(query).one_or_none()
        if row is not None:
            return user_of(row)
    raise no_user(name_or_id)


def _with_hash(connection: Connection, token_hash: str) -> KnownToken | None:
    row = connection.execute(_WITH_HASH, {"of_hash": token_hash}).one_or_none()
    return None if row is None else _known(row)


def _known(row: Row[Any]) -> KnownToken:
    return KnownToken(token_of(row), user_of(row, prefix="user_"))
