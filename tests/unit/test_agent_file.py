"""The agent that is given to new hosts: what is told of it is true of what is sent."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.errors import Busy
from entrypoints.control_plane import agent_file as agent_file_module
from entrypoints.control_plane.agent_file import (
    MOST_AT_ONE_ADDRESS,
    MOST_READERS,
    PIECE_BYTES,
    AgentDigest,
    AgentFile,
)
from tests.support.asgi import OpenRequest
from tests.support.control_plane_parts import ControlPlane
from tests.unit.api import serving

CONTENT = b"agent " * PIECE_BYTES


def digest_of(content: bytes) -> AgentDigest:
    return AgentDigest(hashlib.sha256(content).hexdigest(), len(content))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - threads tell nobody
            await asyncio.sleep(0.001)


def replace(path: Path, content: bytes) -> None:
    """As a package manager does."""
    (path.parent / "new").write_bytes(content)
    (path.parent / "new").replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "agent"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def plane(path: Path) -> ControlPlane:
    return ControlPlane(agent_path=path)


async def test_it_is_read_once_as_long_as_it_is_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    hashed = agent_file_module._hashed

    def counted(descriptor: int) -> AgentDigest:
        read.append(descriptor)
        return hashed(descriptor)

    monkeypatch.setattr(agent_file_module, "_hashed", counted)
    one = AgentFile(path)
    found = await asyncio.gather(*(one.digest() for _ in range(10)))
    assert set(found) == {digest_of(CONTENT)}
    assert len(read) == 1
    replace(path, b"another")
    assert await one.digest() == digest_of(b"another")
    path.write_bytes(b"written")
    os.utime(path, (0, 0))
    assert await one.digest() == digest_of(b"written")
    assert len(read) == 3


async def test_one_that_is_written_to_while_it_is_read_has_no_digest(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = agent_file_module._hashed

    def slow(descriptor: int) -> AgentDigest:
        digest = hashed(descriptor)
        with path.open("ab") as file:
            file.write(b"more")
        return digest

    monkeypatch.setattr(agent_file_module, "_hashed", slow)
    with pytest.raises(Busy):
        await AgentFile(path).digest()


@pytest.mark.parametrize("what", ["missing", "empty", "a directory", "a pipe", "a loop"])
async def test_what_is_no_file_is_not_there(tmp_path: Path, what: str) -> None:
    path = tmp_path / "agent"
    if what == "a directory":
        path.mkdir()
    elif what == "empty":
        path.touch()
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a loop":
        path.symlink_to(path)
    one = AgentFile(path)
    assert not await one.is_there()
    assert await one.digest() is None
    async with serving(ControlPlane(agent_path=path)) as api:
        for path_ in ("/agent", "/install.sh"):
            problem = await api.problem("GET", path_, 404, "not_found")
            assert "CONTROL_PLANE_AGENT_FILE" in problem["detail"]
            assert str(tmp_path) not in problem["detail"]
            assert (await api.client.head(path_)).status_code == 404
        made = await api.post("/api/v1/enrolments", 201, {"name": "web-1"})
        assert made["install_url"] is None


async def test_everybody_gets_it_with_its_digest(plane: ControlPlane) -> None:
    async with serving(plane) as api:
        del api.client.headers["authorization"]
        whole = await api.client.get("/agent")
        assert whole.content == CONTENT
        head = await api.client.head("/agent")
        assert head.content == b""
        for response in (whole, head):
            assert response.headers["content-length"] == str(len(CONTENT))
            assert response.headers["etag"] == f'"{digest_of(CONTENT).sha256}"'
            assert response.headers["content-type"] == "application/octet-stream"
        assert digest_of(CONTENT).sha256 in (await api.client.get("/install.sh")).text


async def test_who_enrols_is_told_where_the_script_is(plane: ControlPlane) -> None:
    async with serving(plane) as api:
        made = await api.post("/api/v1/enrolments", 201, {"name": "web-1"})
        assert made["install_url"] == "http://cp.example/install.sh"


def readers_of(plane: ControlPlane) -> int:
    return plane.agent_file._readers.total()


async def rest_of(request: OpenRequest) -> bytes:
    content = b""
    while True:
        message = await request._next()
        content += bytes(message["body"])
        if not message.get("more_body"):
            return content


async def test_who_has_begun_gets_the_one_that_was_there(plane: ControlPlane, path: Path) -> None:
    async with serving(plane) as api:
        request = await begun_and_held(api.app, plane)
        replace(path, b"another")
        request._reads.set()
        await request.start()
        assert await rest_of(request) == CONTENT
        await request.task
        assert readers_of(plane) == 0
        assert (await api.client.get("/agent")).content == b"another"


async def test_one_that_is_cut_meanwhile_ends_the_connection(
    plane: ControlPlane, path: Path
) -> None:
    async with serving(plane) as api:
        request = await begun_and_held(api.app, plane)
        os.truncate(path, 10)
        request._reads.set()
        await request.start()
        await request.task
        assert request.aborted.is_set()
        assert readers_of(plane) == 0


async def begun_and_held(
    app: object, plane: ControlPlane, address: str = "192.0.2.1"
) -> OpenRequest:
    """One that is opened, and of which nothing is sent yet."""
    headers = {"host": "cp.example"}
    request = OpenRequest(app, "/agent", headers, "", address)  # type: ignore[arg-type]
    request.stop_reading()
    await until(lambda: plane.agent_file._known is not None)
    return request


async def test_so_many_may_read_at_once_and_no_more(plane: ControlPlane) -> None:
    async with serving(plane) as api:
        held = [
            await begun_and_held(api.app, plane, f"198.51.100.{number}")
            for number in range(MOST_READERS)
        ]
        await until(lambda: readers_of(plane) == MOST_READERS)
        await api.problem("GET", "/agent", 503, "busy")
        assert (await api.client.head("/agent")).status_code == 200
        for request in held:
            request._reads.set()
            await request.task
        assert (await api.client.get("/agent")).status_code == 200


@pytest.mark.parametrize(
    ("slow", "same", "other"),
    [
        ("198.51.100.7", "::ffff:198.51.100.7", "198.51.100.8"),
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
    ],
)
async def test_slow_readers_at_one_address_keep_out_nobody_else(
    plane: ControlPlane, slow: str, same: str, other: str
) -> None:
    async with serving(plane) as api:
        held = [await begun_and_held(api.app, plane, slow) for _ in range(MOST_AT_ONE_ADDRESS)]
        await until(lambda: readers_of(plane) == MOST_AT_ONE_ADDRESS)
        headers = {"host": "cp.example"}
        status, told = await OpenRequest(api.app, "/agent", headers, "", same).start()
        assert status == 503
        assert "retry-after" in told
        assert (await OpenRequest(api.app, "/agent", headers, "", other).start())[0] == 200
        for request in held:
            request._reads.set()
            await request.task
        await until(lambda: not plane.agent_file._readers)
        assert (await OpenRequest(api.app, "/agent", headers, "", same).start())[0] == 200


async def test_one_who_takes_nothing_is_given_up(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrypoints.control_plane.rest.installing.WHOLE_S", 0.05)
    async with serving(plane) as api:
        request = OpenRequest(api.app, "/agent", {"host": "cp.example"}, "")
        await request.start()
        request.stop_reading()
        await request.aborted.wait()
        await request.task
        assert readers_of(plane) == 0
