"""A small control plane that speaks protocol v1 and does what a test, or a benchmark, tells it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Generic, Self, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve

PATIENCE_S: Final = 60.0
"""How long a test waits for what must come; only a test that fails waits that long."""

Answer = TypeVar("Answer")
Peer = TypeVar("Peer")


class Asking(ABC, Generic[Answer]):
    """The four commands, for whoever can send one and wait for its end."""

    @abstractmethod
    async def ask(self, command_type: str, payload: object) -> Answer:
        """Send a command and wait for its end."""

    async def deploy(self, project: str, compose: str) -> Answer:
        """DEPLOY_COMPOSE."""
        return await self.ask("DEPLOY_COMPOSE", deploy_payload(project, compose))

    async def stop(self, project: str) -> Answer:
        """STOP_COMPOSE."""
        return await self.ask("STOP_COMPOSE", {"project_name": project})

    async def status(self, project: str) -> Answer:
        """STATUS."""
        return await self.ask("STATUS", {"project_name": project})

    async def health(self) -> Answer:
        """HEALTH_CHECK."""
        return await self.ask("HEALTH_CHECK", {})


class AgentPeer(Asking[dict[str, Any]]):
    """The control plane's end of one agent's connection. `over` is set when it has ended."""

    _ids = itertools.count(1)

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.over = asyncio.Event()
        request = connection.request
        assert request is not None
        self.headers = request.headers

    async def send(self, text: str | bytes) -> None:
        await self.connection.send(text)

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            response = json.loads(await self.connection.recv())
        assert isinstance(response, dict)
        return response

    async def start(self, command_type: str, payload: object) -> str:
        """Send a command; returns its id."""
        job_id = f"job-{next(self._ids)}"
        await self.send(json.dumps({"id": job_id, "type": command_type, "payload": payload}))
        return job_id

    async def ask(self, command_type: str, payload: object) -> dict[str, Any]:
        """Send a command and return its final response, checking that it was acknowledged first."""
        job_id = await self.start(command_type, payload)
        acknowledged = await self.receive()
        assert acknowledged == {
            "job_id": job_id,
            "status": "IN_PROGRESS",
            "logs": "Command received, processing...",
        }
        final = await self.receive()
        assert final["job_id"] == job_id
        return final


def deploy_payload(project: str, compose: str) -> dict[str, str]:
    """The payload of DEPLOY_COMPOSE."""
    encoded = base64.b64encode(compose.encode()).decode()
    return {"project_name": project, "compose_file_base64": encoded}


class Listening(Generic[Peer]):
    """Accepts every agent that connects, on a loopback port of the kernel's choice.

    `meet` makes of a connection what `agent` gives out; `options` are for `websockets`.
    """

    def __init__(
        self,
        meet: Callable[[ServerConnection], Peer],
        *,
        tls: ssl.SSLContext | None = None,
        patience_s: float = PATIENCE_S,
        **options: Any,
    ) -> None:
        self._meet = meet
        self._tls = tls
        self._patience_s = patience_s
        self._options = options
        self._agents: asyncio.Queue[Peer] = asyncio.Queue()
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, ssl=self._tls, compression=None, **self._options
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{port}/ws"

    async def agent(self) -> Peer:
        """The next agent that connects."""
        async with asyncio.timeout(self._patience_s):
            return await self._agents.get()

    async def _serve(self, connection: ServerConnection) -> None:
        peer = self._meet(connection)
        self._agents.put_nowait(peer)
        await connection.wait_closed()
        if isinstance(peer, AgentPeer):
            peer.over.set()


class ControlPlane(Listening[AgentPeer]):
    """The one that tests use."""

    def __init__(self) -> None:
        super().__init__(AgentPeer)
