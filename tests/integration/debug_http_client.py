"""A debug transport that listens, and a client of it that sends whatever a test wants it to."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from adapters.debug_http.api import HttpTimes
from adapters.debug_http.server import DebugHttpLink, DebugHttpTransport
from tests.builders import frame, request
from tests.contracts.transport import HANG_S, soon
from tests.fakes.host import FakeHost

TOKEN: Final = "token-that-no-log-may-hold"
JSON: Final = {"Content-Type": "application/json"}
HURRIED: Final = HttpTimes(idle_s=0.05, body_s=0.05, line_s=0.05, close_s=0.05)
PATIENT: Final = HttpTimes(idle_s=60.0, body_s=60.0, line_s=60.0, close_s=0.05)


@dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> dict[str, object]:
        body: dict[str, object] = json.loads(self.text)
        return body


@dataclass
class DebugAgent:
    """The agent's link, and a client that is authorised unless a test says otherwise."""

    transport: DebugHttpTransport
    link: DebugHttpLink
    http: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {TOKEN}"})

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.transport.port}{path}"

    def open(
        self, body: str | bytes, headers: Mapping[str, str] = JSON
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A command, and its response as a stream."""
        return self.http.post(self.url("/commands"), data=body, headers={**self.headers, **headers})

    async def ask(
        self,
        method: str,
        path: str,
        body: str | bytes | io.BytesIO | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] = JSON,
    ) -> Answer:
        """A request, and its whole response."""
        # A file, because aiohttp warns of large bodies that are not.
        if isinstance(body, str | bytes):
            body = io.BytesIO(body.encode() if isinstance(body, str) else body)
        async with asyncio.timeout(HANG_S):
            async with self.http.request(
                method, self.url(path), data=body, headers={**self.headers, **headers}
            ) as response:
                return Answer(response.status, response.headers, await response.text())

    async def raw(self, data: bytes) -> bytes:
        """Bytes, and whatever comes back until the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.transport.port)
        writer.write(data)
        try:
            return await soon(reader.read())
        finally:
            writer.close()
            await writer.wait_closed()

    async def saw_nothing(self) -> bool:
        """Whether what is sent now is the first thing that the agent receives."""
        marker = request("after-what-was-refused")
        asking = asyncio.create_task(
            self.ask("POST", "/commands", frame(marker.job_id.value, "HEALTH_CHECK"))
        )
        first = await soon(self.link.receive())
        await self.link.close("the marker has arrived")
        await soon(asking)
        return first == marker


@contextlib.asynccontextmanager
async def debug_agent(times: HttpTimes = PATIENT) -> AsyncIterator[DebugAgent]:
    """A debug transport on a port of the kernel's choice."""
    transport = DebugHttpTransport(0, TOKEN, FakeHost().facts(), times=times)
    link = await transport.connect()
    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), skip_auto_headers=["Content-Type"]
        ) as http:
            yield DebugAgent(transport, link, http)
    finally:
        await soon(link.close("the test is over"))


@contextlib.asynccontextmanager
async def client_that_reads_nothing(debug: DebugAgent, body: str) -> AsyncIterator[socket.socket]:
    """A client that sends a command and leaves its response unread, with all buffers small."""
    assert debug.link._listener is not None
    for listening in debug.link._listener.sockets:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", debug.transport.port))
        head = (
            "POST /commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await loop.sock_sendall(client, (head + body).encode())
        yield client


class HttpPeer:
    """The control plane's part, played by one HTTP request a command."""

    def __init__(self, transport: DebugHttpTransport, http: aiohttp.ClientSession) -> None:
        self._transport = transport
        self._http = http
        self._responses: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self._posts: set[asyncio.Task[None]] = set()

    async def send(self, text: str | bytes) -> None:
        self._posts.add(asyncio.create_task(self._post(text)))

    async def receive(self) -> dict[str, object]:
        return await self._responses.get()

    async def stop(self) -> None:
        await asyncio.gather(*self._posts)

    async def _post(self, text: str | bytes) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}", **JSON}
        url = f"http://127.0.0.1:{self._transport.port}/commands"
        async with self._http.post(url, data=text, headers=headers) as response:
            if response.status == 200:
                async for line in response.content:
                    self._responses.put_nowait(json.loads(line))
