"""An engine's socket whose answers, versions and manners a test decides."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from adapters.engine.reading import AT_ONCE


def listed(ident: str = "1", *, project: str = "blog", **facts: Any) -> dict[str, Any]:
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": f"s{ident}",
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
    }
    given = {
        "Id": ident * 64,
        "Names": [f"/other/s{ident}", f"/{project}-s{ident}-1"],
        "Image": "sha256:moved",
        "ImageID": "sha256:1",
        "State": "running",
        "Status": "Up 3 seconds",
        "Ports": [],
        "Labels": labels,
    }
    return given | facts


def inspected(ident: str = "1", *, project: str = "blog", **state: Any) -> dict[str, Any]:
    given = {
        "Status": "running",
        "ExitCode": 0,
        "OOMKilled": False,
        "Error": "",
        "StartedAt": "2026-11-25T22:32:39.123456789Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    }
    return {
        "Id": ident * 64,
        "Name": f"/{project}-s{ident}-1",
        "Image": "sha256:1",
        "RestartCount": 0,
        "State": given | state,
        "Config": {"Image": "web:1"},
    }


class ScriptedEngine:
    """Says what `answers` holds for a path without its version; 404 for what is not there."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"/containers/json": [listed()]}
        self.answers |= {f"/containers/{'1' * 64}/json": inspected()} | answers
        self.speaks = ("1.24", "1.41")
        self.closes_after = 100
        """How many answers a connection gets."""
        self.cuts_after = 100
        """After how many answers a connection is aborted."""
        self.cuts_again = False
        self.connections = 0
        self.asked: list[str] = []
        """Method and target of each request."""
        self.stalls = asyncio.Event()
        """While it is clear, the third request is not answered."""
        self.stalls.set()
        self.is_stalled = asyncio.Event()
        self.is_left = asyncio.Event()

    def versions_asked(self) -> list[str]:
        return [one.split("/")[1] for one in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answered = 0
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.decode("ascii").split(" ", 2)
                self.asked.append(f"{method} {target}")
                if len(self.asked) == 3:
                    self.is_stalled.set()
                    await self.stalls.wait()
                if answered == self.cuts_after and (self.connections == 1 or self.cuts_again):
                    writer.transport.abort()
                    break
                answered += 1
                is_last = answered == self.closes_after
                writer.write(self._answer(target, "Connection: close\r\n" * is_last))
                await writer.drain()
                if is_last:
                    break
        writer.close()
        self.is_left.set()

    def _answer(self, target: str, more: str) -> bytes:
        if target == "/_ping":
            return self._said(200, b"OK", more)
        _, version, path = target.partition("?")[0].split("/", 2)
        minor = int(version.split(".")[1])
        oldest, newest = (int(one.split(".")[1]) for one in self.speaks)
        if not oldest <= minor <= newest:
            why = "new" if minor > newest else "old"
            return self._said(400, json.dumps({"message": f"client {version} is too {why}"}), more)
        answer = self.answers.get(f"/{path}", (404, {"message": "no such thing"}))
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return self._said(status, body if isinstance(body, bytes) else json.dumps(body), more)

    def _said(self, status: int, body: bytes | str, more: str) -> bytes:
        raw = body.encode() if isinstance(body, str) else body
        raw = raw.replace(b"client v", b"client version ")
        head = f"HTTP/1.1 {status} X\r\nApi-Version: {self.speaks[1]}\r\n{more}"
        return f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw


def many_on(engine: ScriptedEngine) -> list[str]:
    """Have more containers than are asked for at once; their names, in order."""
    idents = [chr(ord("A") + n) for n in range(2 * AT_ONCE + 3)]
    engine.answers["/containers/json"] = [listed(ident) for ident in idents]
    for ident in idents:
        engine.answers[f"/containers/{ident * 64}/json"] = inspected(ident)
    return sorted(f"blog-s{ident}-1" for ident in idents)
