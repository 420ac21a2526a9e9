"""The one server: HTTP for people and programs, WebSockets for agents, on one listening socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI

from adapters.websocket.hub import AgentHub
from adapters.websocket.hub_entrance import EntranceProtocol
from entrypoints.control_plane.rest.held_response import ABORT
from entrypoints.control_plane.settings import Address, ControlPlaneSettings

BACKLOG: Final = 4096
"""A whole fleet may come back at once."""
ACCEPTED_AT_ONCE: Final = 8
"""libuv takes one connection from a listening socket in each turn of the loop: while a whole fleet comes
back, people would wait behind it for their connections."""
KEEP_ALIVE_S: Final = 30
HANDSHAKE_S: Final = 10.0
"""Within so long a client has to have come through TLS."""


class CannotListen(Exception):
    """The address of the settings cannot be listened on; `str()` says why."""


class ApiProtocol(EntranceProtocol):
    """Lets the API end a connection whose other end reads nothing: closing would wait for it."""

    def on_message_begin(self) -> None:
        """See `HttpToolsProtocol`."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: self.transport.abort}  # type: ignore[dict-item]


class ApiServer(uvicorn.Server):
    """Ends when it is told to, and not by signals: these are the program's."""

    def __init__(
        self,
        app: FastAPI,
        hub: AgentHub,
        settings: ControlPlaneSettings,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=ApiProtocol,
                ws=hub.protocol_class,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.proxies),
                forwarded_allow_ips=settings.proxies,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=settings.stop_timeout,
                ssl_context_factory=None if tls is None else (lambda *_: tls),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See `uvicorn.Server`: nothing is captured."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`, which has no way to give a handshake a deadline."""
        config, loop = self.config, asyncio.get_running_loop()
        await self.lifespan.startup()

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        self.servers = [
            await loop.create_server(
                protocol,
                sock=listening.dup(),
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=None if config.ssl is None else HANDSHAKE_S,
            )
            for listening in sockets or ()
            for _ in range(ACCEPTED_AT_ONCE)
        ]
        self.started = True

    async def run_on(self, listening: socket.socket) -> None:
        """Serve until `stop` was called and all requests are answered, or given up."""
        await self.serve([listening])

    def stop(self) -> None:
        """Take no more connections, answer what was asked, and end."""
        self.should_exit = True

    def stop_at_once(self) -> None:
        """Wait for nobody."""
        self.should_exit = self.force_exit = True


def listening_on(address: Address) -> socket.socket:
    """A socket that listens; raises `CannotListen`."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(
            (address.host, address.port),
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=family is socket.AF_INET6 and address.host == "::",
        )
    except OSError as exc:
        raise CannotListen(f"{address} cannot be listened on: {exc.strerror or exc}") from exc


def url_of(listening: socket.socket, *, has_tls: bool) -> str:
    """Where it is found from this machine."""
    host, port = listening.getsockname()[:2]
    return f"{'https' if has_tls else 'http'}://{Address(str(host), int(port))}"
