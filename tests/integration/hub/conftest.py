"""What every test of the hub has: a server, and no proxy in the environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from domain.fleet.host import Host
from tests.support.hub_server import HubServer, hub_server


@pytest.fixture(autouse=True)
def no_proxy_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
async def server() -> AsyncIterator[HubServer]:
    async with hub_server(trusted=("127.0.0.2/32",)) as running:
        yield running


@pytest.fixture
async def host(server: HubServer) -> Host:
    return await server.program.add_host()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The control plane's event loop, whose transports are not asyncio's."""
    return {"uvloop": uvloop.new_event_loop}
