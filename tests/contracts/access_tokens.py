"""What every `AccessTokens` must do."""

from __future__ import annotations

import asyncio

import pytest

from application.ports.access_tokens import AccessToken, AccessTokens
from tests.contracts.fleet import NOW, hashed

FIRST = AccessToken("token-1", "administrator", NOW)
SECOND = AccessToken("token-2", "administrator", NOW + 1)


class AccessTokensContract:
    """Give the `tokens`, of which there are none."""

    @pytest.fixture
    def tokens(self) -> AccessTokens:
        raise NotImplementedError

    async def test_there_is_none_at_first(self, tokens: AccessTokens) -> None:
        assert await tokens.with_hash(hashed("first")) is None
        assert not await tokens.has_any()

    async def test_the_first_one_is_found_by_its_hash_and_there_is_no_second_first_one(
        self, tokens: AccessTokens
    ) -> None:
        assert await tokens.add_first(FIRST, hashed("first"))
        assert await tokens.has_any()
        assert not await tokens.add_first(SECOND, hashed("second"))
        assert await tokens.with_hash(hashed("first")) == FIRST
        assert await tokens.with_hash(hashed("second")) is None
        assert await tokens.with_hash("") is None

    async def test_of_those_who_come_together_one_is_the_first(self, tokens: AccessTokens) -> None:
        adding = [
            tokens.add_first(AccessToken(f"token-{n}", "administrator", NOW), hashed(str(n)))
            for n in range(10)
        ]
        assert sorted(await asyncio.gather(*adding)) == [False] * 9 + [True]

    async def test_one_replaces_all_and_is_not_the_first(self, tokens: AccessTokens) -> None:
        await tokens.add_first(FIRST, hashed("first"))
        await tokens.replace_all(SECOND, hashed("second"))
        assert await tokens.with_hash(hashed("first")) is None
        assert await tokens.with_hash(hashed("second")) == SECOND
        assert not await tokens.add_first(FIRST, hashed("third"))

    async def test_one_that_replaces_none_is_there(self, tokens: AccessTokens) -> None:
        await tokens.replace_all(SECOND, hashed("second"))
        assert await tokens.has_any()
        assert await tokens.with_hash(hashed("second")) == SECOND
        assert not await tokens.add_first(FIRST, hashed("first"))
