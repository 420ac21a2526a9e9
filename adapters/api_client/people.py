"""Who uses the control plane: logging in, users, tokens, and what they have done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from adapters.api_client.documents import (
    AccessToken,
    AuditEntry,
    Login,
    Me,
    NewToken,
    User,
    Verification,
)
from adapters.api_client.errors import Unreachable
from adapters.api_client.feed import SILENCE_S
from adapters.api_client.resources import Resource, part
from adapters.api_client.sending import Parameters


class SessionApi(Resource):
    """/api/v1/setup, login, logout and me. What shows a secret is never repeated."""

    async def set_up(self, code: str, name: str, password: str) -> Login:
        """Make the first administrator of a new control plane."""
        body = {"code": code, "name": name, "password": password}
        made: Login = await self._change("POST", "/setup", body)
        return made

    async def log_in(self, name: str, password: str) -> Login:
        """A session."""
        made: Login = await self._change("POST", "/login", {"name": name, "password": password})
        return made

    async def log_out(self) -> None:
        """Revoke the token that is presented."""
        await self._change("POST", "/logout")

    async def me(self) -> Me:
        """Who the presented token is of."""
        found: Me = await self._get("/me")
        return found

    async def change_password(self, current: str, new: str) -> None:
        """One's own."""
        await self._change("POST", "/me/password", {"current": current, "new": new})


class UsersApi(Resource):
    """/api/v1/users. `user` is a name or an id."""

    async def listed(self) -> list[User]:
        """All of them."""
        found: list[User] = await self._list("/users")
        return found

    async def show(self, user: str) -> User:
        """One of them."""
        found: User = await self._get(f"/users/{part(user)}")
        return found

    async def add(self, body: Mapping[str, Any]) -> User:
        """Somebody new: `name`, `grants`, and a `password` where they log in."""
        made: User = await self._change("POST", "/users", body)
        return made

    async def change(self, user: str, body: Mapping[str, Any]) -> User:
        """`grants`, `password` or `is_disabled`."""
        found: User = await self._change("PATCH", f"/users/{part(user)}", body)
        return found

    async def remove(self, user: str) -> None:
        """For good, with all tokens."""
        await self._change("DELETE", f"/users/{part(user)}")


class TokensApi(Resource):
    """/api/v1/tokens."""

    async def listed(self, user: str | None = None) -> list[AccessToken]:
        """One's own, or somebody's."""
        query = [("user", user)] if user else []
        found: list[AccessToken] = await self._list("/tokens", query)
        return found

    async def create(self, body: Mapping[str, Any]) -> NewToken:
        """`name`, and `role`, `labels`, `expires_in_s`, `user`; the token is shown this once."""
        made: NewToken = await self._change("POST", "/tokens", body)
        return made

    async def revoke(self, token_id: str) -> None:
        """Worth nothing from then on."""
        await self._change("DELETE", f"/tokens/{part(token_id)}")


class AuditApi(Resource):
    """/api/v1/audit."""

    async def listed(self, query: Parameters = (), *, limit: int | None = None) -> list[AuditEntry]:
        """The newest first; `query` as the API has it: user, host, project, action."""
        found: list[AuditEntry] = await self._list("/audit", query, limit=limit)
        return found

    async def export(self, after: int = 0) -> AsyncGenerator[bytes, None]:
        """All entries behind `after`, the oldest first, as JSON lines."""
        query = [("after", str(after))] if after else []
        async with self._sending.opened("/audit/export", query=query) as response:
            pieces = response.aiter_bytes()
            while True:
                try:
                    async with asyncio.timeout(SILENCE_S):
                        piece = await anext(pieces)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise Unreachable(f"silence for {SILENCE_S:g} s", is_certain=False) from None
                yield piece

    async def verify(self) -> Verification:
        """Whether nothing was changed or taken out."""
        found: Verification = await self._get("/audit/verification")
        return found
