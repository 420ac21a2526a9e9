"""Users as administrators see and change them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from application.control_plane.access import Access
from application.control_plane.times import seconds_now
from application.ports.clock import Clock
from application.ports.password_hasher import PasswordHasher
from application.ports.people import People, UserChange
from application.ports.randomness import Randomness
from domain.fleet.access import Grant, Principal
from domain.fleet.audit import noted_by
from domain.fleet.page import Page, PageRequest
from domain.fleet.people import User, UserId, UserName, check_password

logger = logging.getLogger(__name__)


class Users:
    """A user is named by name or id."""

    def __init__(
        self,
        *,
        people: People,
        access: Access,
        passwords: PasswordHasher,
        randomness: Randomness,
        clock: Clock,
    ) -> None:
        self._people = people
        self._access = access
        self._passwords = passwords
        self._randomness = randomness
        self._clock = clock

    async def list(self, page: PageRequest) -> Page[User]:
        """By name."""
        return await self._people.users(page)

    async def show(self, name_or_id: str) -> User:
        """Raises `NotFound`."""
        return await self._people.user(name_or_id)

    async def add(
        self, name: UserName, grants: Sequence[Grant], password: str | None, by: Principal
    ) -> User:
        """Raises `Conflict` where the name is taken, `InvalidInput` for the password."""
        password_hash = await self._hash(password)
        now = seconds_now(self._clock)
        user = User(
            UserId(self._randomness.new_id("user")),
            name,
            tuple(grants),
            now,
            has_password=password is not None,
        )
        detail = {"grants": _document(user.grants)}
        noted = noted_by(by, now, "user.add", target=name.value, detail=detail)
        await self._people.add_user(user, password_hash, noted)
        logger.info("user %s is added, by %s", name, by.name)
        return user

    async def change(
        self,
        name_or_id: str,
        by: Principal,
        *,
        grants: Sequence[Grant] | None = None,
        password: str | None = None,
        is_disabled: bool | None = None,
    ) -> User:
        """What is None stays.

        Raises `NotFound`, `InvalidInput`, and `Conflict` for the last who may do everything.
        """
        user = await self._people.user(name_or_id)
        change = UserChange(
            grants=None if grants is None else tuple(grants),
            password_hash=await self._hash(password),
            is_disabled=is_disabled,
        )
        detail: dict[str, object] = {}
        if grants is not None:
            detail["grants"] = _document(grants)
        if is_disabled is not None:
            detail["is_disabled"] = is_disabled
        if password is not None:
            detail["has_new_password"] = True
        now = seconds_now(self._clock)
        noted = noted_by(by, now, "user.change", target=user.name.value, detail=detail)
        changed = await self._people.change_user(user.id, change, noted)
        self._access.forget()
        logger.info("user %s is changed, by %s", user.name, by.name)
        return changed

    async def remove(self, name_or_id: str, by: Principal) -> None:
        """With all tokens. Raises `NotFound`, and `Conflict` for the last who may do everything."""
        user = await self._people.user(name_or_id)
        noted = noted_by(by, seconds_now(self._clock), "user.remove", target=user.name.value)
        await self._people.remove_user(user.id, noted)
        self._access.forget()
        logger.info("user %s is removed, by %s", user.name, by.name)

    async def _hash(self, password: str | None) -> str | None:
        if password is None:
            return None
        check_password(password)
        return await self._passwords.hash(password)


def _document(grants: Sequence[Grant]) -> list[dict[str, object]]:
    return [{"role": one.role.value, "labels": one.labels.as_mapping()} for one in grants]
