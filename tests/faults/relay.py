"""A program between an agent and its control plane, for a test to stop with SIGSTOP.

To the agent it is the control plane: while it is stopped the kernel takes what is sent, and the
connections that are dialled, and nobody answers. `python -m tests.faults.relay <port> <upstream port>`
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from tests.support.ports import bound


async def _relay(port: int, upstream_port: int) -> None:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            above, below = await asyncio.open_connection("127.0.0.1", upstream_port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(pump(reader, below), pump(above, writer))

    server = await asyncio.start_server(serve, sock=bound(port))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_relay(int(sys.argv[1]), int(sys.argv[2])))
