"""The other end of the agent's socket: servers that do what a test's script says, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import trustme
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.utils import accept_key, apply_mask

from adapters.websocket.client import LinkTimes, WebSocketTransport
from adapters.websocket.links import SequencedWebSocketLink, WebSocketLink
from domain.errors import TransportLost, TransportRefused
from tests.fakes.host import FakeHost

T = TypeVar("T")

HANG_S: Final = 20.0
"""A wait as long as this is a hang; nothing here comes near it when all is well."""
TOKEN: Final = "t0k3n-that-nobody-may-see"
QUERY: Final = "query-that-nobody-may-see"
PROXY_PASSWORD: Final = "pa55word-that-nobody-may-see"

UNLIMITED: Final = 1 << 24

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


async def soon(awaitable: Awaitable[T]) -> T:
    """What is waited for; a bug that makes it never come fails the test instead of hanging it."""
    async with asyncio.timeout(HANG_S):
        return await awaitable


def transport_to(
    url: str,
    *,
    tls: ssl.SSLContext | None = None,
    stage_s: float = HANG_S,
    ping_s: float = HANG_S,
    pong_s: float = HANG_S,
    close_s: float = 0.2,
    versions: Sequence[Literal[1, 2]] = (2, 1),
    token: str | None = TOKEN,
) -> WebSocketTransport:
    times = LinkTimes(stage_s=stage_s, ping_s=ping_s, pong_s=pong_s, close_s=close_s)
    return WebSocketTransport(
        url, token=token, facts=FakeHost().facts(), times=times, tls=tls, versions=versions
    )


async def link_of(transport: WebSocketTransport) -> WebSocketLink:
    """A link to a peer that selects no version, or the first."""
    link = await soon(transport.connect())
    assert isinstance(link, WebSocketLink)
    return link


async def sequenced_link_of(transport: WebSocketTransport) -> SequencedWebSocketLink:
    """A link to a peer that selects the second version."""
    link = await soon(transport.connect())
    assert isinstance(link, SequencedWebSocketLink)
    return link


def server_tls(authority: trustme.CA, host: str = "127.0.0.1") -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for that host."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    return context


def trust_in(authority: trustme.CA) -> ssl.SSLContext:
    """The agent's side of TLS, believing this authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def refusal_of(transport: WebSocketTransport) -> TransportLost | TransportRefused:
    """How connecting failed. Nothing of it may hold a secret, not even what only a traceback shows."""
    try:
        await soon(transport.connect())
    except (TransportLost, TransportRefused) as failure:
        shown = "".join(traceback.format_exception(failure)) + getattr(failure, "advice", "")
        assert all(secret not in shown for secret in (TOKEN, QUERY, PROXY_PASSWORD))
        return failure
    raise AssertionError("it was not refused")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame from the agent, unmasked."""

    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int:
        assert self.opcode == CLOSE
        return int(struct.unpack_from("!H", self.payload)[0])

    @property
    def response(self) -> dict[str, Any]:
        assert self.opcode == TEXT
        response = json.loads(self.payload)
        assert isinstance(response, dict)
        return response


def frame(opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0) -> bytes:
    """One frame to the agent: servers do not mask."""
    return header(opcode, len(payload), fin=fin, reserved=reserved) + payload


def header(opcode: int, length: int, *, fin: bool = True, reserved: int = 0) -> bytes:
    first = (0x80 if fin else 0) | reserved | opcode
    if length < 126:
        return struct.pack("!BB", first, length)
    if length < 1 << 16:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)


class RawPeer:
    """One connection from the agent. `gone` is set when the agent has closed it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.gone = asyncio.Event()

    async def request(self) -> tuple[str, list[tuple[str, str]]]:
        """The request line and the headers, in the order in which they came."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = head.decode("ascii").rstrip("\r\n").split("\r\n")
        headers = [(name, value) for name, value in (text.split(": ", 1) for text in lines)]
        return line, headers

    async def upgrade(self, *headers_too: str) -> dict[str, str]:
        """Agree to speak WebSocket, and to what further headers say; gives the request's headers."""
        _, headers = await self.request()
        accepted = accept_key(dict(headers)["Sec-WebSocket-Key"])
        await self.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: "
            + accepted.encode()
            + "".join(f"\r\n{line}" for line in headers_too).encode()
            + b"\r\n\r\n"
        )
        return dict(headers)

    async def write(self, data: bytes) -> None:
        """Write; an agent that has gone ends the script."""
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self, *, chunk: int = UNLIMITED, pause_s: float = 0.0) -> Frame:
        """The next frame; its content in chunks, with a pause after each, where that is wanted."""
        first, second = await self.reader.readexactly(2)
        assert first & 0x80, "the agent never fragments"
        assert second & 0x80, "a client always masks"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4)
        masked = b""
        while len(masked) < length:
            masked += await self.reader.readexactly(min(chunk, length - len(masked)))
            await asyncio.sleep(pause_s)
        return Frame(first & 0x0F, apply_mask(masked, mask))

    async def read_to_the_end(self) -> bytes:
        """All that the agent still sends, up to the end of the connection."""
        rest = b""
        with contextlib.suppress(ConnectionError):
            rest = await self.reader.read()
        self.gone.set()
        return rest


Script = Callable[[RawPeer], Awaitable[object]]


class RawServer:
    """Runs the script for each connection, and then reads on until the agent has gone.

    What breaks in a script is raised when the server is left. What is not read stays with
    the agent as soon as about `unread` bytes wait here.
    """

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, unread: int = UNLIMITED
    ) -> None:
        self._script = script
        self._tls = tls
        self._unread = unread
        self._tasks: set[asyncio.Task[object]] = set()
        self.peers: list[RawPeer] = []
        self.arrivals: asyncio.Queue[RawPeer] = asyncio.Queue()
        self.port = 0

    def url(self, path: str = "/ws", *, host: str = "127.0.0.1") -> str:
        scheme = "wss" if self._tls is not None else "ws"
        return f"{scheme}://{host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = RawPeer(reader, writer)
        self.peers.append(peer)
        self.arrivals.put_nowait(peer)
        task: asyncio.Task[object] = asyncio.ensure_future(self._play(peer))
        self._tasks.add(task)

    async def _play(self, peer: RawPeer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._script(peer)
        await peer.read_to_the_end()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[RawServer]:
        listener = socket.create_server(("127.0.0.1", 0))
        if self._unread < UNLIMITED:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._unread)
        self.port = listener.getsockname()[1]
        server = await asyncio.start_server(
            self._serve, sock=listener, ssl=self._tls, limit=self._unread // 2
        )
        try:
            yield self
        finally:
            server.close()
            for peer in self.peers:
                peer.writer.transport.abort()
            for task in self._tasks:
                task.cancel()
            ended = await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)
        for failure in ended:
            if isinstance(failure, Exception):
                raise failure


def raw_server(
    script: Script, *, tls: ssl.SSLContext | None = None, unread: int = UNLIMITED
) -> contextlib.AbstractAsyncContextManager[RawServer]:
    """A server that plays `script` on each connection."""
    return RawServer(script, tls=tls, unread=unread).running()


async def listens(peer: RawPeer) -> None:
    """Takes what comes and says nothing."""
    await peer.read_to_the_end()


V2: Final = "Sec-WebSocket-Protocol: instadeploy.v2"


async def upgrades(peer: RawPeer) -> None:
    """Agrees to speak WebSocket, and then takes what comes and says nothing."""
    await peer.upgrade()
    await peer.read_to_the_end()


async def reads_nothing(peer: RawPeer) -> None:
    """Agrees to speak WebSocket, and then takes no more than lies unread."""
    await peer.upgrade()
    await asyncio.get_running_loop().create_future()


def answers(*answer: bytes) -> Script:
    """Answers the upgrade request with these bytes and then closes the connection."""

    async def script(peer: RawPeer) -> None:
        await peer.request()
        await peer.write(b"".join(answer))
        peer.writer.close()

    return script


def http(status: str, *headers: str, body: str = "") -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@contextlib.asynccontextmanager
async def control_plane(
    handler: Callable[[ServerConnection], Awaitable[None]],
    *,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[str]:
    """A well-behaved server; gives its URL."""
    options = {"ping_interval": None, "compression": None, "close_timeout": 0.2} | options
    async with serve(handler, "127.0.0.1", 0, ssl=tls, **options) as server:
        yield f"{'wss' if tls else 'ws'}://127.0.0.1:{port_of(server)}/ws"


def port_of(server: Server) -> int:
    port = next(iter(server.sockets)).getsockname()[1]
    assert isinstance(port, int)
    return port
