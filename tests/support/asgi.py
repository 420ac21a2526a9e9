"""Requests to an ASGI application, in process: small ones, and ones whose ends a test holds in hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Scope

Document = dict[str, Any]


@contextlib.asynccontextmanager
async def client_of(app: ASGIApp, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client that presents the token; an error that nobody foresaw is answered, not raised."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.1", 4711))
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://cp.example", headers=headers
    ) as client:
        yield client


class OpenRequest:
    """A request whose response is read message by message.

    `holds` set to True has every later `send` wait: the reader reads nothing. `aborted` is set when
    the application has the connection ended.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        headers: Mapping[str, str],
        query: str,
        address: str = "192.0.2.1",
    ) -> None:
        self.aborted = asyncio.Event()
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            "client": (address, 4711),
            "server": ("cp.example", 80),
            "extensions": {"instadeploy.abort": self._abort},
            "state": {},
        }
        self.task = asyncio.create_task(self._run(app, scope), name=f"GET {path}")
        self._gone = asyncio.Event()
        self._asked = False
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._reads = asyncio.Event()
        self._reads.set()

    def stop_reading(self) -> None:
        self._reads.clear()

    def hang_up(self) -> None:
        self._gone.set()

    async def start(self) -> tuple[int, dict[str, str]]:
        """Status and headers."""
        message = await self._next()
        assert message["type"] == "http.response.start"
        return message["status"], {k.decode(): v.decode() for k, v in message["headers"]}

    async def event(self) -> tuple[str, Document, int | None]:
        """The next event: its name, its data, its number. Comments are skipped."""
        while (block := await self.block()) is not None:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "event" in fields:
                number = fields.get("id")
                data = json.loads(fields["data"])
                return fields["event"], data, None if number is None else int(number)
        raise EOFError

    async def block(self) -> str | None:
        """The next piece of the body; None at the end."""
        message = await self._next()
        assert message["type"] == "http.response.body"
        if not message.get("more_body"):
            return None
        return bytes(message["body"]).decode()

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        await app(scope, self._receive, self._send)

    async def _next(self) -> Message:
        async with asyncio.timeout(10):
            getting = asyncio.create_task(self._sent.get(), name="next message")
            await asyncio.wait([getting, self.task], return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                await asyncio.gather(getting, return_exceptions=True)
                if self._sent.empty():
                    raise EOFError
                return self._sent.get_nowait()
            return await getting

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self._reads.wait()
        self._sent.put_nowait(message)

    def _abort(self) -> None:
        self.aborted.set()
        self._gone.set()


@contextlib.asynccontextmanager
async def opened(
    app: ASGIApp, path: str, *, token: str, query: str = "", **headers: str
) -> AsyncIterator[OpenRequest]:
    """A GET that is hung up when the context ends."""
    sent = {"authorization": f"Bearer {token}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    request = OpenRequest(app, path, sent, query)
    try:
        yield request
    finally:
        request.hang_up()
        request._reads.set()
        async with asyncio.timeout(10):
            await request.task
