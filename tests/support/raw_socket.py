"""A connection on which a test says exactly the bytes that it wants to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from tests.support.fleet_program import TOKEN

PATIENCE_S: Final = 60.0
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE: Final = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "instadeploy.v2, instadeploy.v1",
    "Authorization": f"Bearer {TOKEN}",
}
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA


class RawSocket:
    """Its other end is a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def request(self, path: str = "/ws", /, **headers: str | None) -> int:
        """Ask for an upgrade; returns the status of the answer."""
        fields = UPGRADE | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
        self.send("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1"))
        return await self.status()

    async def status(self) -> int:
        """The status of an answer, whose head is then in `head`."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
        self.head = head.decode("latin-1")
        return int(self.head.split(" ")[1])

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name.lower():
                return value
        return None

    async def read_frame(self) -> tuple[int, bytes]:
        """The opcode and the content of the next frame."""
        async with asyncio.timeout(PATIENCE_S):
            first, length = await self.reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0xF, await self.reader.readexactly(length)

    async def read(self) -> dict[str, Any]:
        """The next message."""
        opcode, content = await self.read_frame()
        assert opcode == TEXT, (opcode, content)
        message = json.loads(content)
        assert isinstance(message, dict)
        return message

    def say(self, message: Mapping[str, object] | str | bytes, opcode: int = TEXT) -> None:
        if not isinstance(message, str | bytes):
            message = json.dumps(message)
        data = message.encode() if isinstance(message, str) else message
        self.send(frame(data, opcode))

    async def close_code(self) -> int | None:
        """Read to the end; the code of the close frame, None where there was none."""
        code = None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                opcode, content = await self.read_frame()
                if opcode == CLOSE:
                    code = int.from_bytes(content[:2], "big")
        return code

    async def ended(self) -> bytes:
        """Read to the end, whatever comes."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                return await self.reader.read()
        return b""


def frame(data: bytes, opcode: int = TEXT, *, fin: bool = True, length: int | None = None) -> bytes:
    """A frame as a client sends it; `length` may be a lie."""
    size = len(data) if length is None else length
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([first, 0xFE]) + struct.pack("!H", size)
    else:
        head = bytes([first, 0xFF]) + struct.pack("!Q", size)
    return head + bytes(4) + data  # Masked with zeros.


@contextlib.asynccontextmanager
async def raw_socket(
    port: int, *, source: str = "127.0.0.1", receive_buffer: int | None = None
) -> AsyncIterator[RawSocket]:
    """A connected one, from an address of this machine's."""
    link = socket.socket()
    link.bind((source, 0))
    if receive_buffer is not None:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    link.setblocking(False)
    await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=link)
    try:
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
