"""HTTP for talking to a control plane's API: connections that stay open, and little else.

Light, so that what it costs does not count as what the control plane costs; h11 reads and writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import h11

READ_BYTES: Final = 64 << 10
PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """Its content."""
        return json.loads(self.content)


class NotStreamed(OSError):
    """A stream was refused; `status` is HTTP's."""

    def __init__(self, path: str, status: int) -> None:
        super().__init__(f"{path}: HTTP {status}")
        self.status = status


class _Line:
    """One connection, which carries one request after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.state = h11.Connection(h11.CLIENT)

    async def event(self) -> Any:
        while (event := self.state.next_event()) is h11.NEED_DATA:
            self.state.receive_data(await self.reader.read(READ_BYTES))
        return event

    def close(self) -> None:
        self.writer.close()


class PlaneHttp:
    """`url` begins with `http://` or `https://`; `token` goes with each request. To be closed."""

    def __init__(self, url: str, *, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        is_secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if is_secure else 80)
        self._tls = tls if is_secure else None
        self._idle: list[_Line] = []
        self.token = token

    async def ask(
        self,
        method: str,
        path: str,
        body: object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request and read its answer; raises `OSError` or `h11.ProtocolError`."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                line, is_new = await self._line()
                try:
                    reply = await self._carry(line, method, path, body, headers or {})
                except (OSError, h11.ProtocolError):
                    line.close()
                    if is_new:
                        raise
                    continue  # It was closed while it was idle.
                except BaseException:
                    line.close()
                    raise
                if line.state.our_state is h11.DONE and line.state.their_state is h11.DONE:
                    line.state.start_next_cycle()
                    self._idle.append(line)
                else:
                    line.close()
                return reply

    @contextlib.asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The content of an answer to a GET, as it comes; raises `NotStreamed`, and as `ask` does."""
        line = await self._new_line()
        try:
            self._send(line, "GET", path, None, {})
            response = await line.event()
            if response.status_code != 200:
                raise NotStreamed(path, response.status_code)
            yield self._pieces(line)
        finally:
            line.close()

    def close(self) -> None:
        """Close what is open and idle."""
        for line in self._idle:
            line.close()
        self._idle.clear()

    async def _pieces(self, line: _Line) -> AsyncIterator[bytes]:
        while isinstance(event := await line.event(), h11.Data):
            yield bytes(event.data)

    async def _line(self) -> tuple[_Line, bool]:
        if self._idle:
            return self._idle.pop(), False
        return await self._new_line(), True

    async def _new_line(self) -> _Line:
        return _Line(*await asyncio.open_connection(self._host, self._port, ssl=self._tls))

    async def _carry(
        self, line: _Line, method: str, path: str, body: object | None, headers: Mapping[str, str]
    ) -> Reply:
        self._send(line, method, path, body, headers)
        response = await line.event()
        while isinstance(response, h11.InformationalResponse):
            response = await line.event()
        if not isinstance(response, h11.Response):
            raise h11.RemoteProtocolError("the connection was closed")
        content = b""
        while isinstance(event := await line.event(), h11.Data):
            content += event.data
        names = {name.decode(): value.decode("latin-1") for name, value in response.headers}
        return Reply(response.status_code, names, content)

    def _send(
        self, line: _Line, method: str, path: str, body: object | None, headers: Mapping[str, str]
    ) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        told = {"Host": f"{self._host}:{self._port}", **headers}
        if self.token:
            told["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            told |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        request = h11.Request(method=method, target=path, headers=list(told.items()))
        data = line.state.send(request) or b""
        if content:
            data += line.state.send(h11.Data(content)) or b""
        data += line.state.send(h11.EndOfMessage()) or b""
        line.writer.write(data)
