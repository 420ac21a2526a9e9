"""The API's tokens in a database."""

from __future__ import annotations

import hmac

from sqlalchemy import Connection, delete, insert, select

from adapters.storage.reader import Reader
from adapters.storage.tables import ACCESS_TOKENS
from adapters.storage.transaction import Transaction
from adapters.storage.writer import Writer
from application.ports.access_tokens import AccessToken


class SqlAccessTokens:
    """See `AccessTokens`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def has_any(self) -> bool:
        """See `AccessTokens`."""
        return await self._reader(_has_any)

    async def add_first(self, token: AccessToken, token_hash: str) -> bool:
        """See `AccessTokens`."""
        return await self._writer.carry_out(
            lambda tx: _add_first(tx, token, token_hash), host_ids=()
        )

    async def with_hash(self, token_hash: str) -> AccessToken | None:
        """See `AccessTokens`."""
        return await self._reader(lambda connection: _with_hash(connection, token_hash))

    async def replace_all(self, token: AccessToken, token_hash: str) -> None:
        """See `AccessTokens`."""
        await self._writer.carry_out(lambda tx: _replace_all(tx, token, token_hash), host_ids=())


def _add_first(tx: Transaction, token: AccessToken, token_hash: str) -> bool:
    if _has_any(tx.connection):
        return False
    _add(tx, token, token_hash)
    return True


def _has_any(connection: Connection) -> bool:
    # There is one for ever once there was one: they are replaced, and never only removed.
    return connection.execute(select(ACCESS_TOKENS.c.id).limit(1)).first() is not None


def _replace_all(tx: Transaction, token: AccessToken, token_hash: str) -> None:
    tx.write(delete(ACCESS_TOKENS))
    _add(tx, token, token_hash)


def _add(tx: Transaction, token: AccessToken, token_hash: str) -> None:
    row = {
        "id": token.id,
        "name": token.name,
        "token_hash": token_hash,
        "created_at": token.created_at,
    }
    tx.write(insert(ACCESS_TOKENS), row)


def _with_hash(connection: Connection, token_hash: str) -> AccessToken | None:
    # There are few, and an index would tell by its time how far a hash is the same.
    for row in connection.execute(select(ACCESS_TOKENS)).all():
        if hmac.compare_digest(row.token_hash, token_hash):
            return AccessToken(row.id, row.name, row.created_at)
    return None
