"""`SocketEngine` against sockets that behave in every way an engine's socket can."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.engine.client import SocketEngine
from adapters.engine.exchange import MAX_BODY_BYTES
from application.ports.engine import Engine, EngineInfo
from domain.errors import RuntimeUnavailable
from tests.contracts.engine import EngineContract

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
VERSION = b'{"Version": "29.1.0", "ApiVersion": "1.52", "Os": "linux"}'
ANSWERS = {b"/_ping": b"OK", b"/version": VERSION}


@contextlib.asynccontextmanager
async def engine_socket(path: Path, serve: Serve) -> AsyncIterator[SocketEngine]:
    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve_and_close, path)
    async with server:
        yield SocketEngine(f"unix://{path}", answer_s=0.3)


def answering(raw: bytes) -> Serve:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return serve


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def test_the_engine_says_its_versions(tmp_path: Path) -> None:
    async with engine_socket(tmp_path / "s", answering(ok(VERSION))) as engine:
        assert await engine.info() == EngineInfo(version="29.1.0", api_version="1.52")


async def test_a_ping_is_answered(tmp_path: Path) -> None:
    async with engine_socket(tmp_path / "s", answering(ok(b"OK"))) as engine:
        await engine.ping()


async def test_a_ping_that_something_else_answers(tmp_path: Path) -> None:
    async with engine_socket(tmp_path / "s", answering(ok(b"hello"))) as engine:
        with pytest.raises(RuntimeUnavailable, match="is not Docker Engine"):
            await engine.ping()


async def test_a_chunked_answer_is_read(tmp_path: Path) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw += b"".join(b"%x\r\n%s\r\n" % (1, VERSION[i : i + 1]) for i in range(len(VERSION)))
    async with engine_socket(tmp_path / "s", answering(raw + b"0\r\n\r\n")) as engine:
        assert (await engine.info()).version == "29.1.0"


async def test_a_tcp_engine_is_asked_too() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(VERSION))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert (await SocketEngine(f"tcp://127.0.0.1:{port}").info()).api_version == "1.52"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (ok(b"{}"), "is not Docker Engine"),
        (ok(b"[]"), "is not Docker Engine"),
        (ok(b"hello"), "is not Docker Engine"),
        (ok(b"\xff\xfe"), "is not Docker Engine"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "HTTP 500"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not answer"),
        (b"", "does not answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ntorn", "does not answer"),
        (ok(b"x" * (MAX_BODY_BYTES + 1)), "too long"),
    ],
)
async def test_an_answer_that_is_none(tmp_path: Path, raw: bytes, words: str) -> None:
    async with engine_socket(tmp_path / "s", answering(raw)) as engine:
        with pytest.raises(RuntimeUnavailable, match=words):
            await engine.info()


async def test_an_engine_that_hangs(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await release.wait()

    async with engine_socket(tmp_path / "s", hang) as engine:
        with pytest.raises(RuntimeUnavailable, match="hangs or is overloaded"):
            await engine.info()
        release.set()


async def test_an_engine_that_drips_is_given_up_too(tmp_path: Path) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for byte in b"HTTP/1.1 200 OK\r\n" * 100:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)

    async with engine_socket(tmp_path / "s", drip) as engine:
        with pytest.raises(RuntimeUnavailable, match="hangs or is overloaded"):
            await engine.info()


async def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="no such socket; install and start"):
        await SocketEngine(f"unix://{tmp_path}/none").info()


async def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    async with engine_socket(tmp_path / "s", answering(b"")):
        pass
    with pytest.raises(RuntimeUnavailable, match="start Docker Engine"):
        await SocketEngine(f"unix://{tmp_path}/s").info()


async def test_a_socket_that_refuses_us(tmp_path: Path) -> None:
    async with engine_socket(tmp_path / "s", answering(ok(VERSION))) as engine:
        (tmp_path / "s").chmod(0)
        with another_user(), pytest.raises(RuntimeUnavailable, match="permission denied; run the"):
            await engine.info()


async def test_cancelling_leaves_no_descriptor(tmp_path: Path) -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        asked.set()
        await release.wait()

    async with engine_socket(tmp_path / "s", hang) as engine:
        question = asyncio.create_task(engine.info())
        await asked.wait()
        question.cancel()
        with pytest.raises(asyncio.CancelledError):
            await question
        release.set()


@contextlib.contextmanager
def another_user() -> Iterator[None]:
    """Root may write to any socket; nobody may not. Whoever is not root stays who they are."""
    uid = os.geteuid()
    os.seteuid(65534 if uid == 0 else uid)
    try:
        yield
    finally:
        os.seteuid(uid)


class TestSocketEngine(EngineContract):
    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[Engine]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            writer.write(ok(ANSWERS[request.split()[1]]))
            await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(serve, tmp_path / "answers")
        async with server:
            yield SocketEngine(f"unix://{tmp_path}/answers")

    @pytest.fixture
    def absent_engine(self, tmp_path: Path) -> Engine:
        return SocketEngine(f"unix://{tmp_path}/absent")

    @pytest.fixture
    async def hanging_engine(self, tmp_path: Path) -> AsyncIterator[Engine]:
        release = asyncio.Event()

        async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
            await release.wait()

        async with engine_socket(tmp_path / "hangs", hang):
            yield SocketEngine(f"unix://{tmp_path}/hangs", answer_s=60.0)
            release.set()
