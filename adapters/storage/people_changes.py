"""What changes who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from adapters.storage.audit import note
from adapters.storage.people_rows import grants_document, token_row, user_of, user_row
from adapters.storage.repeated import Repeated
from adapters.storage.tables import IS_THERE, TOKENS, USERS
from adapters.storage.transaction import Transaction
from application.ports.people import UserChange
from domain.errors import Conflict, Unproven
from domain.fleet.audit import Noted
from domain.fleet.missing import no_token, no_user
from domain.fleet.people import (
    AccessToken,
    TokenId,
    TokenKind,
    User,
    UserId,
    administrators_left,
)

_USED: Final = Repeated(
    update(TOKENS).where(TOKENS.c.id == bindparam("of_id")).values(last_used_at=bindparam("at"))
)


def is_set_up(connection: Connection) -> bool:
    """See `People`."""
    return connection.execute(select(USERS.c.id).limit(1)).first() is not None


def set_up(
    tx: Transaction,
    user: User,
    password_hash: str,
    token: AccessToken,
    token_hash: str,
    noted: Noted,
) -> bool:
    """See `People`."""
    if is_set_up(tx.connection):
        return False
    tx.write(insert(USERS), user_row(user, password_hash))
    _add_token(tx, token, token_hash)
    note(tx, [noted])
    return True


def take_over(
    tx: Transaction, user: User, token: AccessToken, token_hash: str, noted: Noted
) -> None:
    """See `People`."""
    named = select(USERS).where(USERS.c.name_key == user.name.key, IS_THERE)
    row = tx.connection.execute(named).one_or_none()
    if row is None:
        tx.write(insert(USERS), user_row(user, None))
    else:
        token = replace(token, user_id=UserId(row.id))
        # Not with the password of before: it may be why the user was disabled, or may do less.
        given = {
            "grants": grants_document(user.grants),
            "is_disabled": False,
            "password_hash": None,
        }
        tx.write(update(USERS).where(USERS.c.id == row.id).values(given))
    tx.write(delete(TOKENS))
    _add_token(tx, token, token_hash)
    note(tx, [noted])


def add_user(tx: Transaction, user: User, password_hash: str | None, noted: Noted) -> None:
    """See `People`."""
    named = select(USERS.c.name).where(USERS.c.name_key == user.name.key, IS_THERE)
    row = tx.connection.execute(named).one_or_none()
    if row is not None:
        raise Conflict(f"name: there is a user {row.name}")
    tx.write(insert(USERS), user_row(user, password_hash))
    note(tx, [noted])


def change_user(tx: Transaction, user_id: UserId, change: UserChange, noted: Noted) -> User:
    """See `People`."""
    row = _row(tx.connection, user_id)
    user = user_of(row)
    new: dict[str, object] = {}
    if change.grants is not None:
        new["grants"] = grants_document(change.grants)
        user = replace(user, grants=change.grants)
    if change.is_disabled is not None:
        new["is_disabled"] = change.is_disabled
        user = replace(user, is_disabled=change.is_disabled)
    if change.password_hash is not None:
        new["password_hash"] = change.password_hash
        user = replace(user, has_password=True)
    if new:
        tx.write(update(USERS).where(USERS.c.id == user_id).values(new))
    if change.password_hash is not None or change.is_disabled:
        sessions = (TOKENS.c.user_id == user_id) & (TOKENS.c.kind == TokenKind.SESSION)
        tx.write(delete(TOKENS).where(sessions))
    _require_administrator(tx)
    note(tx, [noted])
    return user


def remove_user(tx: Transaction, user_id: UserId, noted: Noted) -> None:
    """See `People`."""
    _row(tx.connection, user_id)
    gone = {"removed_at": noted.at, "password_hash": None}
    tx.write(update(USERS).where(USERS.c.id == user_id).values(gone))
    tx.write(delete(TOKENS).where(TOKENS.c.user_id == user_id))
    _require_administrator(tx)
    note(tx, [noted])


def add_token(
    tx: Transaction, token: AccessToken, token_hash: str, most: int, noted: Noted, proof: str
) -> None:
    """See `People`."""
    user = _row(tx.connection, token.user_id)
    presented = select(TOKENS.c.id).where(TOKENS.c.token_hash == proof)
    is_proven = user.password_hash == proof or tx.connection.execute(presented).first() is not None
    if not is_proven or (user.is_disabled and token.kind is TokenKind.SESSION):
        raise Unproven("what was presented is worth nothing any more")
    of_kind = (TOKENS.c.user_id == token.user_id) & (TOKENS.c.kind == token.kind)
    query = select(TOKENS.c.place).where(of_kind).order_by(TOKENS.c.place)
    places = tx.connection.execute(query).scalars().all()
    if len(places) >= most:
        if token.kind is TokenKind.API:
            raise Conflict(f"token: a user may have {most}; revoke one first")
        over = places[: len(places) - most + 1]
        tx.write(delete(TOKENS).where(TOKENS.c.place.in_(over)))
    _add_token(tx, token, token_hash)
    note(tx, [noted])


def revoke_token(tx: Transaction, token_id: TokenId, noted: Noted) -> None:
    """See `People`."""
    of_it = TOKENS.c.id == token_id
    if tx.connection.execute(select(TOKENS.c.id).where(of_it)).first() is None:
        raise no_token(token_id)
    tx.write(delete(TOKENS).where(of_it))
    note(tx, [noted])


def note_used(tx: Transaction, used_at: Mapping[TokenId, float]) -> None:
    """See `People`."""
    tx.repeat(_USED, [{"of_id": token_id, "at": at} for token_id, at in used_at.items()])


def forget_tokens(tx: Transaction, expired_before: float, limit: int) -> int:
    """See `People`."""
    old = select(TOKENS.c.place).where(TOKENS.c.expires_at < expired_before).limit(limit)
    places = tx.connection.execute(old).scalars().all()
    if places:
        tx.write(delete(TOKENS).where(TOKENS.c.place.in_(places)))
    return len(places)


def _row(connection: Connection, user_id: UserId) -> Row[Any]:
    row = connection.execute(select(USERS).where(USERS.c.id == user_id, IS_THERE)).one_or_none()
    if row is None:
        raise no_user(user_id)
    return row


def _require_administrator(tx: Transaction) -> None:
    there = tx.connection.execute(select(USERS).where(IS_THERE))
    if not administrators_left([user_of(row) for row in there]):
        raise Conflict("user: nobody would be left who may do everything")


def _add_token(tx: Transaction, token: AccessToken, token_hash: str) -> None:
    tx.write(insert(TOKENS), token_row(token, tx.next_number(), token_hash))
