"""A control plane's hub on a port of loopback: uvicorn, the links, and a database in memory.

async with hub_server() as server:
    host = await server.program.add_host()
    async with scripted_agent(server.url, token=TOKEN) as agent:
        ...
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn

from adapters.clock.system import SystemClock
from adapters.websocket.hub import AgentHub
from adapters.websocket.hub_entrance import EntranceProtocol
from tests.fakes.fleet_store import FakeFleet
from tests.support.fleet_program import FleetProgram
from tests.support.ports import bound, port_of

PATIENCE_S = 60.0


class _Server(uvicorn.Server):
    """Leaves the signals of the program that runs it alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HubServer:
    """A running one."""

    def __init__(
        self, program: FleetProgram, hub: AgentHub, server: uvicorn.Server, port: int
    ) -> None:
        self.program = program
        self.hub = hub
        self.port = port
        self._server = server

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def connections(self) -> int:
        """Of HTTP and of agents."""
        return len(self._server.server_state.connections)

    def sockets(self) -> list[object]:
        """What uvicorn has of them."""
        return list(self._server.server_state.connections)

    async def until(self, condition: Any, what: str) -> None:
        """Wait until something that is looked at again and again has come to be."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
        assert condition(), what

    def stop(self) -> None:
        """Have uvicorn stop, as a signal does."""
        self._server.should_exit = True


@contextlib.asynccontextmanager
async def hub_server(
    fleet: FakeFleet | None = None,
    *,
    port: int = 0,
    heartbeat_s: float = 15.0,
    program: FleetProgram | None = None,
    trusted: tuple[str, ...] = (),
) -> AsyncIterator[HubServer]:
    """Serve until the context is left, which ends all links as a program does that stops."""
    program = program or FleetProgram(SystemClock(), fleet, heartbeat_s=heartbeat_s)
    hub = AgentHub(program.reception, heartbeat_s=heartbeat_s, trusted=trusted)
    config = uvicorn.Config(
        _api,
        ws=hub.protocol_class,
        http=EntranceProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    listener = bound(port)
    async with program.running():
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not server.started:  # noqa: ASYNC110 - nor of this
                    await asyncio.sleep(0.01)
            yield HubServer(program, hub, server, port_of(listener))
        finally:
            server.should_exit = True
            await serving


async def _api(scope: Any, receive: Any, send: Any) -> None:
    """What stands in for the API."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the API"})
