"""The HTTP client that drives a control plane in tests and benchmarks, on a server with a script."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import pytest

from tests.fleet.plane_api import PlaneApi, Refused
from tests.fleet.plane_http import PlaneHttp

Script = Callable[[int, bytes], bytes]
"""The bytes of an answer, by the number of the request and its head and content."""


def answer(content: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


class Server:
    def __init__(self, script: Script) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.ends_after_each = False
        self.attending: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._script = script

    async def end(self) -> None:
        """Leave no connection open, and nobody who waits for one."""
        for writer in self.attending:
            writer.close()
        await asyncio.gather(*(task for task in self.attending.values() if task is not None))

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.attending[writer] = asyncio.current_task()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self._script(len(self.requests), self.requests[-1]))
                await writer.drain()
                if self.ends_after_each:
                    break
        writer.close()


@contextlib.asynccontextmanager
async def serving(script: Script) -> AsyncIterator[tuple[str, Server]]:
    server = Server(script)
    listening = await asyncio.start_server(server.attend, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", server
        await server.end()


async def test_requests_share_a_connection_and_carry_token_and_content() -> None:
    async with serving(lambda number, _: answer(b'{"n": %d}' % number)) as (url, server):
        http = PlaneHttp(url, token="a-token")
        assert (await http.ask("GET", "/one")).json() == {"n": 1}
        assert (await http.ask("POST", "/two", {"a": "ü"})).json() == {"n": 2}
        http.close()
        assert server.connections == 1
        assert b"GET /one HTTP/1.1\r\n" in server.requests[0]
        assert b"Authorization: Bearer a-token\r\n" in server.requests[0]
        assert json.loads(server.requests[1].split(b"\r\n\r\n")[1]) == {"a": "ü"}


async def test_a_connection_that_was_closed_while_it_was_idle_is_made_again() -> None:
    async with serving(lambda *_: answer(b"{}")) as (url, server):
        server.ends_after_each = True
        http = PlaneHttp(url)
        for _ in range(3):
            assert (await http.ask("GET", "/")).status == 200
        http.close()
        assert len(server.requests) == server.connections == 3


async def test_where_nobody_listens_is_an_error() -> None:
    async with serving(lambda *_: answer(b"{}")) as (url, _):
        pass
    api = PlaneApi(url, "")
    assert not await api.is_ready()
    with pytest.raises(OSError, match=r"Connect|refused"):
        await api.get("/hosts")


async def test_a_busy_control_plane_is_asked_again_under_the_same_key() -> None:
    def script(number: int, _: bytes) -> bytes:
        if number == 1:
            return answer(b"{}", "503 Busy", "Retry-After: 0")
        return answer(b'{"jobs": []}', "202 Accepted")

    async with serving(script) as (url, server), PlaneApi(url, "") as api:
        assert await api.deploy("blog", hosts=["one"]) == {"jobs": []}
        assert api.busy == 1
        keys = {
            line
            for request in server.requests
            for line in request.split(b"\r\n")
            if line.lower().startswith(b"idempotency-key")
        }
        assert len(keys) == 1


async def test_a_refusal_says_what_was_said() -> None:
    script = answer(b'{"code": "not_found"}', "404 Not Found")
    async with serving(lambda *_: script) as (url, _), PlaneApi(url, "") as api:
        with pytest.raises(Refused, match="not_found") as refused:
            await api.get("/hosts/nobody")
        assert refused.value.status == 404


async def test_events_are_read_however_they_are_cut() -> None:
    events = (
        b"retry: 2000\n\n"
        b'id: 1\nevent: state\ndata: {"state": "running"}\n\n'
        b": still here\n\n"
        b'event: end\ndata: {"state": "succeeded"}\n\n'
    )
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in events) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(lambda *_: head + chunks) as (url, _), PlaneApi(url, "") as api:
        told = [event async for event in api.follow("/jobs/a/feed")]
    assert told == [("state", {"state": "running"}), ("end", {"state": "succeeded"})]
