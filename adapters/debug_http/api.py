"""The two routes: `POST /commands` and `GET /healthz`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from adapters.debug_http.job_streams import JobStream, JobStreams, StreamCut
from adapters.debug_http.refusals import Guard, RequestRefused, json_response
from adapters.wire.codec import MAX_FRAME_BYTES, decode, encode
from domain.errors import Conflict
from domain.events import JobFailed, refusal_of
from domain.messages import Request

logger = logging.getLogger(__name__)

OPEN_COMMANDS: Final = 64

_METHODS: Final = {"/commands": "POST", "/healthz": "GET"}


@dataclass(frozen=True, slots=True)
class HttpTimes:
    """Seconds: how long a client may take, and each of the two steps of closing."""

    idle_s: float = 30.0
    """Without a whole request on a connection."""
    body_s: float = 30.0
    """Over a request's body."""
    line_s: float = 30.0
    """To read a line of a response; after that the client is taken for gone."""
    close_s: float = 2.0


DEFAULT_TIMES: Final = HttpTimes()


class DebugHttpApi:
    """Answers one HTTP request at a time, many at once."""

    def __init__(
        self,
        guard: Guard,
        *,
        agent_version: str,
        streams: JobStreams,
        submit: Callable[[Request], None],
        times: HttpTimes,
    ) -> None:
        self._guard = guard
        self._agent_version = agent_version
        self._streams = streams
        self._submit = submit
        self._times = times
        self._turns = asyncio.Semaphore(OPEN_COMMANDS)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, or refuse it before anything of it reaches the agent."""
        try:
            self._guard.check(request)
            method = _METHODS.get(request.path)
            if method is None:
                raise RequestRefused(404, f"ask for one of: {_routes()}")
            if request.method != method:
                raise RequestRefused(405, f"{request.path} takes {method} only", {"Allow": method})
            if request.path == "/healthz":
                return json_response(200, {"status": "ok", "version": self._agent_version})
            return await self._carry_out(request)
        except RequestRefused as refusal:
            logger.warning("refused a request with status %d: %s", refusal.status, refusal)
            return refusal.response()

    async def _carry_out(self, request: web.BaseRequest) -> web.StreamResponse:
        _check_is_plain_json(request)
        if self._turns.locked():
            raise RequestRefused(
                503, f"{OPEN_COMMANDS} commands are open; try again later", {"Retry-After": "1"}
            )
        async with self._turns:
            message = decode(await _body_of(request, self._times.body_s))
            if not isinstance(message, Request):
                return _failure(400, refusal_of(message.job_id, message.error))
            try:
                with self._streams.opened(message.job_id.value) as stream:
                    self._submit(message)
                    return await _respond(_Client(request, self._times.line_s), stream)
            except Conflict as exc:
                return _failure(409, refusal_of(message.job_id.value, exc))


class _Client:
    """The reader of one streamed response. Once it is gone, what it is told is dropped."""

    def __init__(self, request: web.BaseRequest, line_s: float) -> None:
        self._request = request
        # Kept, because the library forgets it where it closes a connection gently.
        self._transport = request.transport
        self._line_s = line_s
        self._is_gone = False
        self.response = web.StreamResponse(
            headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}
        )

    async def tell(self, line: str) -> None:
        """Write a line, for as long as a client that reads may need."""
        if self._is_gone:
            return
        try:
            async with asyncio.timeout(self._line_s):
                await self.response.prepare(self._request)
                await self.response.write(f"{line}\n".encode())
        except (ConnectionError, TimeoutError):
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection without the stream's end, so that nobody takes it for complete."""
        self._is_gone = True
        if self._transport is not None:
            self._transport.abort()


async def _respond(client: _Client, stream: JobStream) -> web.StreamResponse:
    try:
        async for event in stream:
            await client.tell(encode(event))
    except StreamCut as cut:
        if not client.response.prepared:
            raise RequestRefused(503, str(cut), {"Retry-After": "10"}) from None
        client.hang_up()
    except asyncio.CancelledError:
        client.hang_up()
        raise
    return client.response


def _check_is_plain_json(request: web.BaseRequest) -> None:
    if request.content_type != "application/json":
        raise RequestRefused(415, "send the command with Content-Type: application/json")
    if "Content-Encoding" in request.headers:
        raise RequestRefused(415, "send the command without a Content-Encoding")


async def _body_of(request: web.BaseRequest, body_s: float) -> bytes:
    if (request.content_length or 0) > MAX_FRAME_BYTES:
        raise _too_large()
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    try:
        async with asyncio.timeout(body_s):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_FRAME_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise RequestRefused(408, f"send the whole command within {body_s:g} s") from None
    except web.RequestPayloadError:
        raise RequestRefused(400, "the request's body is not valid HTTP") from None
    return bytes(body)


def _too_large() -> RequestRefused:
    return RequestRefused(413, f"a command may have at most {MAX_FRAME_BYTES} bytes (8 MiB)")


def _failure(status: int, event: JobFailed) -> web.Response:
    return web.Response(status=status, text=f"{encode(event)}\n", content_type="application/json")


def _routes() -> str:
    return ", ".join(f"{method} {path}" for path, method in _METHODS.items())
