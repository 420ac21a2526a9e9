"""Users, tokens and the audit trail in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from application.ports.audit_trail import AuditQuery
from application.ports.people import KnownToken, UserChange
from domain.errors import Conflict, Unproven
from domain.fleet.audit import AuditEntry, AuditHead, Noted
from domain.fleet.missing import no_token, no_user
from domain.fleet.page import Page, PageRequest
from domain.fleet.people import (
    AccessToken,
    TokenId,
    TokenKind,
    User,
    UserId,
    administrators_left,
)
from tests.fakes.fleet_state import FleetState, Reach, newest_first, page_of


class FakePeople:
    """See `People`."""

    def __init__(self, state: FleetState, reach: Reach) -> None:
        self._state = state
        self._reach = reach

    async def is_set_up(self) -> bool:
        """See `People`."""
        await self._reach()
        return bool(self._state.users)

    async def set_up(
        self, user: User, password_hash: str, token: AccessToken, token_hash: str, noted: Noted
    ) -> bool:
        """See `People`."""
        await self._reach()
        if self._state.users:
            return False
        self._keep(user, password_hash)
        self._add_token(token, token_hash)
        self._state.note(noted)
        return True

    async def take_over(
        self, user: User, token: AccessToken, token_hash: str, noted: Noted
    ) -> None:
        """See `People`."""
        await self._reach()
        known = self._named(user.name.key)
        if known is None:
            self._keep(user, None)
        else:
            token = replace(token, user_id=known.id)
            self._keep(replace(known, grants=user.grants, is_disabled=False), None)
            self._state.passwords.pop(known.id, None)
        self._state.tokens.clear()
        self._add_token(token, token_hash)
        self._state.note(noted)

    async def add_user(self, user: User, password_hash: str | None, noted: Noted) -> None:
        """See `People`."""
        await self._reach()
        known = self._named(user.name.key)
        if known is not None:
            raise Conflict(f"name: there is a user {known.name}")
        self._keep(user, password_hash)
        self._state.note(noted)

    async def user(self, name_or_id: str) -> User:
        """See `People`."""
        await self._reach()
        for user in self._there():
            if user.id == name_or_id:
                return user
        found = self._named(name_or_id.lower())
        if found is None:
            raise no_user(name_or_id)
        return found

    async def users(self, page: PageRequest) -> Page[User]:
        """See `People`."""
        await self._reach()
        return page_of(self._there(), page, lambda user: f"{user.name.key}~{user.id}")

    async def password_hash(self, name: str) -> tuple[User, str] | None:
        """See `People`."""
        await self._reach()
        user = self._named(name.lower())
        if user is None or user.id not in self._state.passwords:
            return None
        return user, self._state.passwords[user.id]

    async def change_user(self, user_id: UserId, change: UserChange, noted: Noted) -> User:
        """See `People`."""
        await self._reach()
        user = self._user(user_id)
        if change.grants is not None:
            user = replace(user, grants=change.grants)
        if change.is_disabled is not None:
            user = replace(user, is_disabled=change.is_disabled)
        if change.password_hash is not None:
            user = replace(user, has_password=True)
        self._require_administrator(user)
        self._state.users[user_id] = user
        if change.password_hash is not None:
            self._state.passwords[user_id] = change.password_hash
        if change.password_hash is not None or change.is_disabled:
            self._drop(user_id, TokenKind.SESSION)
        self._state.note(noted)
        return user

    async def remove_user(self, user_id: UserId, noted: Noted) -> None:
        """See `People`."""
        await self._reach()
        self._require_administrator(replace(self._user(user_id), is_disabled=True))
        self._state.removed_users.add(user_id)
        self._state.passwords.pop(user_id, None)
        self._drop(user_id, *TokenKind)
        self._state.note(noted)

    async def add_token(
        self, token: AccessToken, token_hash: str, most: int, noted: Noted, proof: str
    ) -> None:
        """See `People`."""
        await self._reach()
        user = self._user(token.user_id)
        is_proven = self._state.passwords.get(user.id) == proof or proof in self._state.tokens
        if not is_proven or (user.is_disabled and token.kind is TokenKind.SESSION):
            raise Unproven("what was presented is worth nothing any more")
        same = [
            known
            for known, one in self._state.tokens.items()
            if (one.user_id, one.kind) == (token.user_id, token.kind)
        ]
        if len(same) >= most and token.kind is TokenKind.API:
            raise Conflict(f"token: a user may have {most}; revoke one first")
        for known in same[: max(0, len(same) - most + 1)]:
            del self._state.tokens[known]
        self._add_token(token, token_hash)
        self._state.note(noted)

    async def token_with(self, token_hash: str) -> KnownToken | None:
        """See `People`."""
        await self._reach()
        token = self._state.tokens.get(token_hash)
        return None if token is None else KnownToken(token, self._state.users[token.user_id])

    async def token(self, token_id: TokenId) -> KnownToken:
        """See `People`."""
        await self._reach()
        token = self._state.tokens[self._hash_of(token_id)]
        return KnownToken(token, self._state.users[token.user_id])

    async def tokens(self, user_id: UserId | None, page: PageRequest) -> Page[KnownToken]:
        """See `People`."""
        await self._reach()
        found = [
            KnownToken(one, self._state.users[one.user_id])
            for one in self._state.tokens.values()
            if user_id in (None, one.user_id)
        ]
        places = self._state.places
        return page_of(found, page, lambda known: newest_first(places[known.token.id]))

    async def revoke_token(self, token_id: TokenId, noted: Noted) -> None:
        """See `People`."""
        await self._reach()
        del self._state.tokens[self._hash_of(token_id)]
        self._state.note(noted)

    async def note_used(self, used_at: Mapping[TokenId, float]) -> None:
        """See `People`."""
        await self._reach()
        for known, token in self._state.tokens.items():
            if token.id in used_at:
                self._state.tokens[known] = replace(token, last_used_at=used_at[token.id])

    async def forget_tokens(self, expired_before: float, limit: int) -> int:
        """See `People`."""
        await self._reach()
        old = [
            known
            for known, token in self._state.tokens.items()
            if token.expires_at is not None and token.expires_at < expired_before
        ][:limit]
        for known in old:
            del self._state.tokens[known]
        return len(old)

    def _there(self) -> list[User]:
        return [
            user for user in self._state.users.values() if user.id not in self._state.removed_users
        ]

    def _named(self, key: str) -> User | None:
        return next((user for user in self._there() if user.name.key == key), None)

    def _user(self, user_id: UserId) -> User:
        for user in self._there():
            if user.id == user_id:
                return user
        raise no_user(user_id)

    def _keep(self, user: User, password_hash: str | None) -> None:
        self._state.users[user.id] = replace(user, has_password=password_hash is not None)
        if password_hash is not None:
            self._state.passwords[user.id] = password_hash

    def _add_token(self, token: AccessToken, token_hash: str) -> None:
        self._state.tokens[token_hash] = token
        self._state.places[token.id] = self._state.next_number()

    def _drop(self, user_id: UserId, *kinds: TokenKind) -> None:
        for known, token in list(self._state.tokens.items()):
            if token.user_id == user_id and token.kind in kinds:
                del self._state.tokens[known]

    def _hash_of(self, token_id: TokenId) -> str:
        for known, token in self._state.tokens.items():
            if token.id == token_id:
                return known
        raise no_token(token_id)

    def _require_administrator(self, changed: User) -> None:
        users = [changed if user.id == changed.id else user for user in self._there()]
        if not administrators_left(users):
            raise Conflict("user: nobody would be left who may do everything")


class FakeAuditTrail:
    """See `AuditTrail`."""

    def __init__(self, state: FleetState, reach: Reach) -> None:
        self._state = state
        self._reach = reach

    async def note(self, noted: Noted) -> None:
        """See `AuditTrail`."""
        await self._reach()
        self._state.note(noted)

    async def entries(self, query: AuditQuery, page: PageRequest) -> Page[AuditEntry]:
        """See `AuditTrail`."""
        await self._reach()
        found = [entry for entry in self._state.trail if _is_meant(entry.noted, query)]
        return page_of(found, page, lambda entry: newest_first(entry.number))

    async def after(self, number: int, limit: int) -> Sequence[AuditEntry]:
        """See `AuditTrail`."""
        await self._reach()
        return [entry for entry in self._state.trail if entry.number > number][:limit]

    async def head(self) -> AuditHead:
        """See `AuditTrail`."""
        await self._reach()
        return self._state.audit_head


def _is_meant(noted: Noted, query: AuditQuery) -> bool:
    return (
        query.user in (None, noted.user)
        and query.host in (None, noted.host_id, noted.host)
        and query.project in (None, noted.project)
        and query.action in (None, noted.action)
    )
