"""Argon2 itself, with settings that take no time."""

from __future__ import annotations

import asyncio
import threading

import argon2
import pytest
from argon2.profiles import CHEAPEST

from adapters.secrets.passwords import MOST_WAITING, Argon2Passwords
from domain.errors import Busy
from tests.contracts.password_hasher import PASSWORD, PasswordHasherContract


@pytest.fixture
def passwords() -> Argon2Passwords:
    return Argon2Passwords(CHEAPEST)


class TestArgon2Passwords(PasswordHasherContract):
    async def test_two_hashes_of_a_password_differ(self, passwords: Argon2Passwords) -> None:
        assert await passwords.hash(PASSWORD) != await passwords.hash(PASSWORD)

    async def test_usual_settings_are_those_of_rfc_9106(self) -> None:
        found = argon2.extract_parameters(await Argon2Passwords().hash(PASSWORD))
        assert (found.type, found.memory_cost, found.time_cost) == (argon2.Type.ID, 65536, 3)

    async def test_nobody_waits_for_strangers_and_they_are_bounded(
        self, passwords: Argon2Passwords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = await passwords.hash(PASSWORD)
        go_on = threading.Event()
        verify = passwords._verify

        def slow_for_strangers(password: str, password_hash: str) -> bool:
            if password == "a stranger's":
                go_on.wait(60)
            return verify(password, password_hash)

        monkeypatch.setattr(passwords, "_verify", slow_for_strangers)
        strangers = [
            asyncio.create_task(passwords.is_right("a stranger's", kept, is_stranger=True))
            for _ in range(MOST_WAITING)
        ]
        try:
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                await passwords.is_right("a stranger's", kept, is_stranger=True)
            for _ in range(3):
                assert await passwords.is_right(PASSWORD, kept, is_stranger=False)
            assert not any(stranger.done() for stranger in strangers)
        finally:
            go_on.set()
        assert await asyncio.gather(*strangers) == [False] * MOST_WAITING

    async def test_who_stops_waiting_leaves_the_place_to_others(
        self, passwords: Argon2Passwords
    ) -> None:
        for _ in range(2 * MOST_WAITING):
            waiting = asyncio.create_task(passwords.hash(PASSWORD))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        assert await passwords.hash(PASSWORD)
