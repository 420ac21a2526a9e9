"""The real control plane as a process of its own, on loopback, with its state in a directory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import httpx

PATIENCE_S = 60.0
MODULE = ("-I", "-m", "entrypoints.control_plane")

_CODE = re.compile(r"ids_[A-Za-z0-9_-]+")
USER, PASSWORD = "ann", "correct horse battery staple"
_SERVES = re.compile(r"serves at (https?)://127\.0\.0\.1:(\d+)")


def environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """All that the program gets to see."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CONTROL_PLANE_STATE_DIR": str(home / "state"),
        "CONTROL_PLANE_LISTEN": "127.0.0.1:0",
        "CONTROL_PLANE_LOG_LEVEL": "debug",
        **settings,
    }


class ControlPlaneProcess:
    """A running control plane. `token` is that of whoever has set it up, which a new one is at once."""

    def __init__(self, process: asyncio.subprocess.Process, home: Path, token: str) -> None:
        self.process = process
        self.token = token
        self._home = home
        self.scheme, self.port = "http", 0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def agents_url(self) -> str:
        return f"ws{self.url.removeprefix('http')}/ws"

    def log(self) -> str:
        return (self._home / "control-plane.log").read_text(encoding="utf-8")

    def printed(self) -> str:
        return (self._home / "printed").read_text(encoding="utf-8")

    def client(self, token: str | None = None, **more: object) -> httpx.AsyncClient:
        """A client of the API that presents the administrator's token, or this one."""
        return httpx.AsyncClient(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {token or self.token}"},
            timeout=PATIENCE_S,
            trust_env=False,
            **more,  # type: ignore[arg-type]
        )

    async def logged(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait until its log has that, or raise what it says where it ends before."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := pattern.search(self.log())):
                if self.process.returncode is not None:
                    raise AssertionError(f"it ended with {self.process.returncode}: {self.log()}")
                await asyncio.sleep(0.02)
        return found

    async def ready(self) -> None:
        """Wait until it serves."""
        serves = await self.logged(_SERVES)
        self.scheme, self.port = serves[1], int(serves[2])
        if not self.token and (found := _CODE.search(self.printed())):
            self.token = await self._set_up(found[0])

    async def _set_up(self, code: str) -> str:
        async with self.client("none", verify=False) as client:
            body = {"code": code, "name": USER, "password": PASSWORD}
            response = await client.post("/setup", json=body)
            assert response.status_code == 201, response.text
            return str(response.json()["token"])

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Have it end, and return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def running_control_plane(
    home: Path,
    *,
    token: str = "",
    settings: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> AsyncIterator[ControlPlaneProcess]:
    """A control plane that serves, ended when the context is; `token` of one that is not new."""
    with (home / "control-plane.log").open("wb") as log, (home / "printed").open("wb") as printed:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *MODULE,
            *arguments,
            cwd=home,
            env=environment(home, settings or {}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=printed,
            stderr=log,
        )
    one = ControlPlaneProcess(process, home, token)
    try:
        await one.ready()
        yield one
    finally:
        try:
            await one.stop()
        except TimeoutError:
            process.kill()
            await process.wait()


async def run_control_plane(
    home: Path, arguments: Sequence[str], settings: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run the program to its end: its exit code, and what it printed and said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *MODULE,
        *arguments,
        cwd=home,
        env=environment(home, settings or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            printed, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, printed.decode(), said.decode()
