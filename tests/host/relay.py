"""What listens on one machine's loopback, and passes on what it hears to another's."""

from __future__ import annotations

import asyncio
import contextlib
import socket


class Relay:
    """Passes connections on to a port of this machine's loopback, from wherever it listens."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def listen(self, where: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accept, sock=where)

    async def close(self) -> None:
        """Hang up on everybody, and stop listening; it may listen again, elsewhere."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name=f"relay-{self.port}")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            above, below = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, below), name="relay-up")
                both.create_task(_pump(above, writer), name="relay-down")
        finally:
            below.transport.abort()
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, and its end; a connection that breaks ends both directions."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
        return
    writer.transport.abort()
