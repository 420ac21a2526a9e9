"""`SocketContainerNames` against an engine's socket that says what a real one says rarely."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from adapters.engine.containers import SocketContainerNames
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName

BLOG = ProjectName("Blog")
OLD, NEW = "a" * 64, "b" * 64
WRONG, PROPER = f"{OLD[:12]}_blog-web-1", "blog-web-1"

T = TypeVar("T")


def container(ident: str, name: str, state: str, *, project: str = "blog") -> dict[str, Any]:
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": "1",
    }
    if ident == NEW:
        labels["com.docker.compose.replace"] = OLD
    return {"Id": ident, "Names": [f"/{name}"], "State": state, "Created": 1, "Labels": labels}


class ScriptedEngine:
    """Lists one state after another, the last one for ever, and so it answers changes."""

    def __init__(self, *listings: object, changes: Sequence[int] = (204,)) -> None:
        self._listings = list(listings)
        self._changes = list(changes)
        self.asked: list[str] = []

    def answer(self, method: str, target: str) -> tuple[int, object]:
        if method == "GET":
            return 200, _next(self._listings)
        self.asked.append(f"{method} {target}")
        return _next(self._changes), {"message": "the engine says why"}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.decode("ascii").split(" ", 2)
        status, body = self.answer(method, target)
        raw = b"" if status == 204 else json.dumps(body).encode()
        length = b"" if status == 204 else b"Content-Length: %d\r\n" % len(raw)
        writer.write(b"HTTP/1.1 %d X\r\n%s\r\n%s" % (status, length, raw))
        await writer.drain()
        writer.close()


def _next(scripted: list[T]) -> T:
    return scripted.pop(0) if len(scripted) > 1 else scripted[0]


@contextlib.asynccontextmanager
async def names_on(engine: ScriptedEngine, path: Path) -> AsyncIterator[SocketContainerNames]:
    server = await asyncio.start_unix_server(engine.serve, path / "s")
    async with server:
        yield SocketContainerNames(f"unix://{path}/s", change_s=5.0, quiet_s=0.0)


@pytest.mark.parametrize("state", ["removing", "dead"])
@pytest.mark.parametrize("status", [204, 404, 409])
async def test_a_name_is_free_when_its_holder_is_gone(
    tmp_path: Path, state: str, status: int
) -> None:
    new = container(NEW, WRONG, "created")
    with_old = [new, container(OLD, PROPER, state)]
    engine = ScriptedEngine(with_old, with_old, [new], changes=[status])
    async with names_on(engine, tmp_path) as names:
        said = await names.put_right(BLOG)
    removed = f"removed the container {PROPER}, which was {state}"
    renamed = f"renamed the container {WRONG} to {PROPER}"
    assert engine.asked == [
        f"DELETE /containers/{OLD}?force=1",
        f"POST /containers/{NEW}/rename?name={PROPER}",
    ]
    assert list(said) == ([removed, renamed] if status == 204 else [removed])


async def test_one_that_the_engine_does_not_get_removed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.engine.containers.GONE_S", 0.0)
    async with names_on(ScriptedEngine([container(OLD, PROPER, "dead")]), tmp_path) as names:
        with pytest.raises(RuntimeUnavailable, match=f"{PROPER} removed, which is dead"):
            await names.put_right(BLOG)


async def test_what_the_engine_cannot_remove_now_it_is_asked_to_remove_again(
    tmp_path: Path,
) -> None:
    old = container(OLD, PROPER, "removing")
    engine = ScriptedEngine([old], [old], [old], [], changes=[500, 500, 204])
    async with names_on(engine, tmp_path) as names:
        (said,) = await names.put_right(BLOG)
    assert said == f"removed the container {PROPER}, which was removing"
    assert engine.asked == [f"DELETE /containers/{OLD}?force=1"] * 3


async def test_one_that_it_never_can_is_said_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.engine.containers.GONE_S", 0.0)
    engine = ScriptedEngine([container(OLD, PROPER, "dead")], changes=[500])
    async with names_on(engine, tmp_path) as names:
        with pytest.raises(RuntimeUnavailable, match=r"which is dead: .*the engine says why"):
            await names.put_right(BLOG)


async def test_what_the_engine_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    engine = ScriptedEngine([container(NEW, WRONG, "created")], changes=[500])
    async with names_on(engine, tmp_path) as names:
        with pytest.raises(RuntimeUnavailable, match=r"HTTP 500: .*the engine says why"):
            await names.put_right(BLOG)


async def test_of_two_for_one_name_the_one_that_runs_gets_it(tmp_path: Path) -> None:
    other = "c" * 64
    idle = container(NEW, WRONG, "created")
    running = container(other, f"{'d' * 12}_{PROPER}", "running")
    running["Labels"]["com.docker.compose.replace"] = "d" * 64
    engine = ScriptedEngine([idle, running])
    async with names_on(engine, tmp_path) as names:
        await names.put_right(BLOG)
    assert engine.asked == [
        f"POST /containers/{other}/rename?name={PROPER}",
        f"DELETE /containers/{NEW}?force=1",
    ]


async def test_an_engine_that_does_not_filter_changes_nobody_elses(tmp_path: Path) -> None:
    engine = ScriptedEngine([container(NEW, WRONG, "created", project="shop")])
    async with names_on(engine, tmp_path) as names:
        assert list(await names.put_right(BLOG)) == []
    assert engine.asked == []


@pytest.mark.parametrize("listing", [{"message": "hello"}, ["x"], [{}], "hello"])
async def test_what_is_no_engine_is_said(tmp_path: Path, listing: object) -> None:
    async with names_on(ScriptedEngine(listing), tmp_path) as names:
        with pytest.raises(RuntimeUnavailable, match="is not Docker Engine"):
            await names.put_right(BLOG)


async def test_settling_waits_while_something_changes(tmp_path: Path) -> None:
    states = ["created", "running", "exited"]
    listings = [[container(OLD, PROPER, state)] for state in states]
    engine = ScriptedEngine(*listings)
    server = await asyncio.start_unix_server(engine.serve, tmp_path / "s")
    async with server:
        await SocketContainerNames(f"unix://{tmp_path}/s", quiet_s=0.2).settle(BLOG)
    assert engine.answer("GET", "")[1] == listings[-1]
