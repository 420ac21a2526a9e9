"""What every test of the WebSocket has: no proxy in the environment, and no error that is only logged."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme

OF_THE_SERVER = "Error on transport creation for incoming connection"
"""What asyncio says of a client that does not like the server's certificate, or goes away."""


@pytest.fixture(autouse=True)
def no_proxy_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
async def nothing_breaks_unnoticed() -> AsyncIterator[None]:
    """asyncio only logs what a callback or a forgotten task raises; here it fails the test."""
    broken: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
    yield
    gc.collect(1)
    assert [context for context in broken if context["message"] != OF_THE_SERVER] == []


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """An authority that no machine trusts by itself."""
    return trustme.CA(organization_name="A private authority")
