"""The debug transport: an HTTP server on loopback in the place of a control plane.

The one link is the server itself. Whatever HTTP requests bring is received on it, and each event
goes to the response that waits for its job.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from http import HTTPStatus
from typing import Final, Literal

from aiohttp import web

from adapters.debug_http.api import DEFAULT_TIMES, DebugHttpApi, HttpTimes
from adapters.debug_http.job_streams import JobStreams
from adapters.debug_http.refusals import Guard, json_response
from application.ports.host import HostFacts
from domain.errors import TransportLost, TransportRefused
from domain.events import Event
from domain.messages import Message, Request

logger = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"

_CLOSED: Final = "the debug transport was closed"


class DebugHttpTransport:
    """Listens on `port` of 127.0.0.1; 0 leaves the choice to the kernel."""

    def __init__(
        self, port: int, token: str, facts: HostFacts, *, times: HttpTimes = DEFAULT_TIMES
    ) -> None:
        self._wanted_port = port
        self._bound_port: int | None = None
        self._guard = Guard(token)
        self._agent_version = facts.agent_version
        self._times = times

    @property
    def port(self) -> int:
        """The port that the latest link listens on; before there is one, the port to be."""
        return self._wanted_port if self._bound_port is None else self._bound_port

    async def connect(self) -> DebugHttpLink:
        """See `Transport`: connected is to listen."""
        listening = _bind(self._wanted_port)
        try:
            link = DebugHttpLink(self._guard, self._agent_version, self._times)
            await link.serve(listening)
        except BaseException:
            listening.close()
            raise
        self._bound_port = listening.getsockname()[1]
        logger.info("listening on http://%s:%d", HOST, self._bound_port)
        return link


class DebugHttpLink:
    """The server, as the agent's connection to whoever sends it requests."""

    def __init__(self, guard: Guard, agent_version: str, times: HttpTimes) -> None:
        self._times = times
        self._streams = JobStreams()
        self._inbox: asyncio.Queue[Request | None] = asyncio.Queue()
        self._is_closed = False
        self._listener: asyncio.Server | None = None
        api = DebugHttpApi(
            guard,
            agent_version=agent_version,
            streams=self._streams,
            submit=self._inbox.put_nowait,
            times=times,
        )
        self._server = web.Server(api.answer)
        # The library logs what it cannot parse, and with it the token that a header holds.
        self._library_log = logging.getLogger("instadeploy.aiohttp")
        self._library_log.setLevel(logging.CRITICAL + 1)

    @property
    def version(self) -> Literal[1]:
        """See `Link`."""
        return 1

    async def serve(self, listening: socket.socket) -> None:
        """Answer requests from now on; cancelled, it has not begun to."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _HttpConnection(
                self._server,
                loop=loop,
                logger=self._library_log,
                access_log=self._library_log,
                keepalive_timeout=self._times.idle_s,
                lingering_time=self._times.close_s,
                auto_decompress=False,
            ),
            sock=listening,
            start_serving=False,
        )
        try:
            await self._listener.start_serving()
        except asyncio.CancelledError:
            self._listener.close()
            raise

    async def receive(self) -> Message:
        """See `Link`; input that is refused has had its answer, and does not come here."""
        self._check()
        request = await self._inbox.get()
        if request is None:
            raise TransportLost(_CLOSED)
        return request

    async def send(self, event: Event) -> None:
        """See `Link`; a client that does not read holds up nobody but itself."""
        self._check()
        self._streams.deliver(event)

    async def confirm(self) -> None:
        """See `Link`: what is written to its socket has reached a client on this machine."""
        self._check()
        await self._streams.settled()
        self._check()

    async def close(self, reason: str) -> None:
        """See `Link`; streams whose job has not ended are broken off, not ended."""
        if not self._is_closed:
            self._is_closed = True
            self._inbox.put_nowait(None)
            self._streams.cut(reason)
        if self._listener is not None:
            self._listener.close()
        self._server.pre_shutdown()
        with contextlib.suppress(Exception):
            await self._server.shutdown(self._times.close_s)

    def _check(self) -> None:
        if self._is_closed:
            raise TransportLost(_CLOSED)


class _HttpConnection(web.RequestHandler):
    """One client's connection, whose errors are JSON and repeat nothing of what was sent."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - quotes the line that could not be parsed
    ) -> web.StreamResponse:
        """What a client gets when its request is no HTTP, or when answering it broke."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("there is nobody to tell, or the response has begun")
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            why = "the request is not valid HTTP"
        else:
            logger.error("answering a request broke; this is a bug", exc_info=exc)
            why = "the agent failed to answer because of an internal error; its log says more"
        response = json_response(status, {"error": why})
        response.force_close()
        return response


def _bind(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as exc:
        where = f"port {port} of {HOST}"
        if exc.errno == errno.EADDRINUSE:
            raise TransportRefused(
                f"{where} is in use",
                advice="stop what listens there, or set AGENT_HTTP_PORT to a free port",
            ) from exc
        if exc.errno in (errno.EACCES, errno.EPERM):
            raise TransportRefused(
                f"listening on {where} is not permitted",
                advice="set AGENT_HTTP_PORT to a port above 1023",
            ) from exc
        raise TransportLost(f"listening on {where} failed: {exc.strerror}") from exc
