"""One GET on a connection that is open, over HTTP/1.1."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

import h11

MAX_BODY_BYTES: Final = 1024 * 1024


class BadAnswer(ConnectionError):
    """No HTTP, not a success, or too long; says which."""


async def get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bytes:
    """The body of a 200 answer; raises `BadAnswer` for any other, and for what is not HTTP."""
    try:
        return await _exchange(reader, writer, path)
    except h11.RemoteProtocolError as exc:
        raise BadAnswer(str(exc)) from exc


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(
        method="GET", target=path, headers=[("Host", "docker"), ("Connection", "close")]
    )
    writer.write(connection.send(request) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response) and event.status_code != HTTPStatus.OK:
            raise BadAnswer(f"it answered HTTP {event.status_code}")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                raise BadAnswer("its answer is too long")
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return bytes(body)
