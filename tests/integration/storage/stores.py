"""The stores on real databases, for the contracts: each test has a database of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.storage.database import Database
from tests.contracts.fleet import Fleet, Reopen


class _Opened:
    @pytest.fixture
    async def stack(self) -> AsyncIterator[contextlib.AsyncExitStack]:
        async with contextlib.AsyncExitStack() as stack:
            yield stack

    @pytest.fixture
    async def fleet(self, stack: contextlib.AsyncExitStack, url: str) -> Fleet:
        return await stack.enter_async_context(Database.opened(url))

    @pytest.fixture
    def reopen(self, stack: contextlib.AsyncExitStack, url: str) -> Reopen:
        async def reopen(_: Fleet) -> Fleet:
            await stack.aclose()
            return await stack.enter_async_context(Database.opened(url))

        return reopen


class OnSqlite(_Opened):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/fleet.db"


class OnPostgres(_Opened):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url
