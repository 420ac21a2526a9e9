"""One request on a connection that is open, over HTTP/1.1."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11

MAX_BODY_BYTES: Final = 1024 * 1024


class BadAnswer(ConnectionError):
    """No HTTP, not a success, or too long; says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    body: bytes


async def get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bytes:
    """The body of a 200 answer; raises `BadAnswer` for any other, and for what is not HTTP."""
    answer = await exchange(reader, writer, "GET", path)
    if answer.status != HTTPStatus.OK:
        raise BadAnswer(f"it answered HTTP {answer.status}")
    return answer.body


async def exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    method: str,
    target: str,
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Answer:
    """Whatever is answered; raises `BadAnswer` for what is not HTTP, and for what is too long."""
    try:
        return await _exchange(reader, writer, method, target, max_body_bytes)
    except h11.RemoteProtocolError as exc:
        raise BadAnswer(str(exc)) from exc


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    method: str,
    target: str,
    max_body_bytes: int,
) -> Answer:
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", "docker"), ("Connection", "close")]
    if method != "GET":
        headers.append(("Content-Length", "0"))
    writer.write(connection.send(h11.Request(method=method, target=target, headers=headers)) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    status, body = 0, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > max_body_bytes:
                raise BadAnswer("its answer is too long")
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return Answer(status, bytes(body))
