"""Users, tokens and the audit trail of a control plane in memory."""

from __future__ import annotations

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
from adapters.api_client.errors import Refused
from adapters.api_client.people import AuditApi, SessionApi, TokensApi, UsersApi
from adapters.api_client.sending import Parameters
from domain.fleet.people import SHORTEST_PASSWORD
from tests.unit.cli.world import TOKEN, World, not_found


class FakeSession(SessionApi):
    def __init__(self, world: World, token: str | None) -> None:
        self.world = world
        self.token = token

    async def set_up(self, code: str, name: str, password: str) -> Login:
        self.world.asks("setup", code=code, name=name, password=password)
        if self.world.is_set_up:
            raise Refused(409, "conflict", "set-up: it is over for good")
        if code != "ids_right":
            raise Refused(401, "wrong_code", "this is not the code")
        if len(password) < SHORTEST_PASSWORD:
            raise Refused(422, "invalid_input", "password: must have 12 to 256 characters")
        self.world.is_set_up = True
        return self._login(self.world.add_user(name, {"role": "admin", "labels": {}}))

    async def log_in(self, name: str, password: str) -> Login:
        self.world.asks("login", name=name, password=password)
        if password != "right":
            raise Refused(401, "unauthenticated", "name or password is wrong")
        return self._login(self.world.user(name))

    async def log_out(self) -> None:
        self.world.asks("logout", token=self.token)

    async def me(self) -> Me:
        self.world.asks("me", token=self.token)
        if self.token != TOKEN:
            raise Refused(401, "unauthenticated", "send the token in a header")
        return {"user": self.world.user("ann"), "access_token": None}

    async def change_password(self, current: str, new: str) -> None:
        self.world.asks("password", current=current, new=new)

    def _login(self, user: User) -> Login:
        token = self.world.add_token("login", user["name"], kind="session")
        return {"user": user, "access_token": token, "token": TOKEN}


class FakeUsers(UsersApi):
    def __init__(self, world: World) -> None:
        self.world = world

    async def listed(self) -> list[User]:
        return [user for _, user in sorted(self.world.users.items())]

    async def show(self, user: str) -> User:
        return self.world.user(user)

    async def add(self, body: Mapping[str, Any]) -> User:
        self.world.asks("add user", **body)
        if body["name"] in self.world.users:
            raise Refused(409, "conflict", "there is such a user")
        return self.world.add_user(body["name"], *body["grants"])

    async def change(self, user: str, body: Mapping[str, Any]) -> User:
        self.world.asks("change user", user=user, **body)
        found = self.world.user(user)
        found.update({key: value for key, value in body.items() if key in found})  # type: ignore[typeddict-item]
        return found

    async def remove(self, user: str) -> None:
        del self.world.users[self.world.user(user)["name"]]


class FakeTokens(TokensApi):
    def __init__(self, world: World) -> None:
        self.world = world

    async def listed(self, user: str | None = None) -> list[AccessToken]:
        return [one for one in self.world.tokens.values() if user in (None, one["user"])]

    async def create(self, body: Mapping[str, Any]) -> NewToken:
        self.world.asks("create token", **body)
        more = {key: body[key] for key in ("role", "labels") if key in body}
        token = self.world.add_token(body["name"], body.get("user", "ann"), **more)
        return {"access_token": token, "token": TOKEN}

    async def revoke(self, token_id: str) -> None:
        if token_id not in self.world.tokens:
            raise not_found(f"token {token_id}")
        del self.world.tokens[token_id]


class FakeAudit(AuditApi):
    def __init__(self, world: World) -> None:
        self.world = world

    async def listed(self, query: Parameters = (), *, limit: int | None = None) -> list[AuditEntry]:
        self.world.asks("audit", query=list(query))
        return self.world.audit[::-1][:limit]

    async def export(self, after: int = 0) -> AsyncGenerator[bytes, None]:
        yield b'{"number": 1}\n{"num'
        yield b'ber": 2}\n'

    async def verify(self) -> Verification:
        findings = self.world.findings
        head = {"number": 2, "hash": "ab"}
        return {"is_intact": not findings, "entries": 2, "head": head, "findings": findings}
