"""Dialling, down at the socket."""

from __future__ import annotations

import asyncio
import socket

from adapters.websocket.addresses import connect_to


async def test_a_machine_that_acknowledges_nothing_is_given_up() -> None:
    """TCP itself would go on for about a quarter of an hour, at longer and longer intervals."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        with await connect_to("127.0.0.1", port) as link:
            given_up_after_ms = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert given_up_after_ms == 15_000
