"""What may listen where a control plane should: each serves one connection, and is nothing good."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from tests.support.ports import bound

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@contextlib.asynccontextmanager
async def listening(port: int, converse: Conversation) -> AsyncIterator[asyncio.Event]:
    """Yields what is set when a first conversation has come to its end."""
    over = asyncio.Event()
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await converse(reader, writer)
        finally:
            over.set()
            writer.transport.abort()

    server = await asyncio.start_server(serve, sock=bound(port))
    try:
        yield over
    finally:
        server.close()
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)


def answering(response: bytes) -> Conversation:
    """Answers the upgrade request with these bytes, and hangs up."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await writer.drain()

    return converse


def status(line: str, *headers: str) -> Conversation:
    """Answers with an HTTP status."""
    lines = [f"HTTP/1.1 {line}", *headers, "Content-Length: 0", "Connection: close", "", ""]
    return answering("\r\n".join(lines).encode())


async def says_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accepts, and never answers."""
    while await reader.read(1 << 16):
        pass


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Agrees, at one byte a second."""
    for byte in await _agreement(reader):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


def speaking(frames: bytes, *, times: int = 1) -> Conversation:
    """Agrees to v2, and sends these bytes; then it waits for the agent to hang up."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await _agreement(reader))
        for _ in range(times):
            writer.write(frames)
            await writer.drain()
        await says_nothing(reader, writer)

    return converse


def frame(payload: bytes, *, first: int = 0x81, length: int | None = None) -> bytes:
    """A frame that says it has so many bytes."""
    said = len(payload) if length is None else length
    if said < 126:
        return bytes([first, said]) + payload
    if said < 1 << 16:
        return bytes([first, 126]) + said.to_bytes(2) + payload
    return bytes([first, 127]) + said.to_bytes(8) + payload


async def _agreement(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    key = next(
        line.split(b":", 1)[1].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: instadeploy.v2\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
