"""`python -m benchmarks.bare_server PORT`: what the websockets library does by itself, on uvloop.

It sends back what it hears, knows nobody and writes nothing down: what a control plane costs beyond
this is its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


async def main(port: int) -> None:
    """Listen until the process is ended."""
    async with serve(_echo, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096):
        print("listening", flush=True)
        await asyncio.get_running_loop().create_future()


async def _echo(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(main(int(sys.argv[1])))
