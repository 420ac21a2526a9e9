"""Users and tokens as rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from domain.fleet.access import Grant, Role
from domain.fleet.labels import Labels
from domain.fleet.people import AccessToken, TokenId, TokenKind, User, UserId, UserName


def user_of(row: Row[Any], prefix: str = "") -> User:
    """The user of a row, whose columns begin with `prefix`, but for `id`."""
    read = row._mapping
    return User(
        UserId(read["user_id" if prefix else "id"]),
        UserName(read[f"{prefix}name"]),
        tuple(_grant_of(one) for one in read[f"{prefix}grants"]),
        created_at=read[f"{prefix}created_at"],
        has_password=read[f"{prefix}password_hash"] is not None,
        is_disabled=read[f"{prefix}is_disabled"],
    )


def user_row(user: User, password_hash: str | None) -> dict[str, object]:
    """The row of a user."""
    return {
        "id": user.id,
        "name": user.name.value,
        "name_key": user.name.key,
        "grants": grants_document(user.grants),
        "created_at": user.created_at,
        "password_hash": password_hash,
        "is_disabled": user.is_disabled,
    }


def grants_document(grants: tuple[Grant, ...]) -> list[dict[str, object]]:
    """Grants as JSON has them."""
    return [_grant_document(one) for one in grants]


def token_of(row: Row[Any]) -> AccessToken:
    """The token of a row."""
    return AccessToken(
        TokenId(row.id),
        UserId(row.user_id),
        row.name,
        TokenKind(row.kind),
        row.created_at,
        scope=None if row.scope is None else _grant_of(row.scope),
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


def token_row(token: AccessToken, place: int, token_hash: str) -> dict[str, object]:
    """The row of a token."""
    return {
        "place": place,
        "id": token.id,
        "user_id": token.user_id,
        "name": token.name,
        "kind": token.kind.value,
        "token_hash": token_hash,
        "scope": None if token.scope is None else _grant_document(token.scope),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
    }


def _grant_of(document: dict[str, Any]) -> Grant:
    return Grant(Role(document["role"]), Labels.of(document["labels"]))


def _grant_document(grant: Grant) -> dict[str, object]:
    return {"role": grant.role.value, "labels": grant.labels.as_mapping()}
