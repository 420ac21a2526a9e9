"""Requests on a connection that is open, over HTTP/1.1."""

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
    api_version: str = ""
    """The newest that the engine speaks, which it says in every answer."""


class Conversation:
    """GETs on one connection for as long as the other side keeps it open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._read = b""
        self.is_open = True
        """Whether it can be asked more."""

    async def get(self, *targets: str, max_body_bytes: int = MAX_BODY_BYTES) -> list[Answer]:
        """Ask all before any is answered; they are answered in order, whatever the status.

        Only the first may be where the other side closes after it. Raises `BadAnswer` for what is
        not HTTP, and for what is too long.
        """
        asking = [h11.Connection(h11.CLIENT) for _ in targets]
        for connection, target in zip(asking, targets, strict=True):
            request = h11.Request(method="GET", target=target, headers=[("Host", "docker")])
            self._writer.write(_written(connection, request))
        await self._writer.drain()
        return [
            await self._next_answer(connection, max_body_bytes)
            for connection in asking
            if self.is_open  # Which it may have ceased to be with the answer before.
        ]

    async def _next_answer(self, connection: h11.Connection, max_body_bytes: int) -> Answer:
        if self._read:
            connection.receive_data(self._read)
        try:
            answer = await _answer(connection, self._reader, max_body_bytes)
        except h11.RemoteProtocolError as exc:
            raise BadAnswer(str(exc)) from exc
        self._read, _ = connection.trailing_data
        self.is_open = connection.their_state is h11.DONE and not self._reader.at_eof()
        return answer


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
    headers = [("Host", "docker"), ("Connection", "close")]
    if method != "GET":
        headers.append(("Content-Length", "0"))
    request = h11.Request(method=method, target=target, headers=headers)
    connection = h11.Connection(h11.CLIENT)
    writer.write(_written(connection, request))
    await writer.drain()
    try:
        return await _answer(connection, reader, max_body_bytes)
    except h11.RemoteProtocolError as exc:
        raise BadAnswer(str(exc)) from exc


def _written(connection: h11.Connection, request: h11.Request) -> bytes:
    return (connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b"")


async def _answer(
    connection: h11.Connection, reader: asyncio.StreamReader, max_body_bytes: int
) -> Answer:
    status, api_version, body = 0, "", bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
            api_version = dict(event.headers).get(b"api-version", b"").decode("latin-1")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > max_body_bytes:
                raise BadAnswer("its answer is too long")
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return Answer(status, bytes(body), api_version)
