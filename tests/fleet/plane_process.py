"""The control plane as a process of its own, the way a service manager starts it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from tests.fleet.plane_api import PATIENCE_S, PlaneApi

READY_S: Final = 60.0
EXIT_S: Final = 60.0
LOOK_EVERY_S: Final = 0.01
_CODE: Final = re.compile(r"\bids_[A-Za-z0-9_-]{20,}")


class Child(Protocol):
    """A process, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...

    def send_signal(self, number: int, /) -> None: ...


Beginning = Callable[[Path, Mapping[str, str], Path], Child]
"""How the program is started: in a directory, with an environment, and a file for what it prints."""


class PlaneFailed(Exception):
    """It ended, or does not serve; `code` is what it ended with, if it has."""

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.code = code


class PlaneProcess:
    """It keeps its state below `home`, whatever happens to its process, and listens on `port`.

    `token` is the administrator's, which is printed at the first start alone. It is ended with `kill`
    or `stop` before whoever started it ends. `begin` starts it, where it is not simply run.
    """

    def __init__(
        self,
        home: Path,
        port: int,
        *,
        python: Path | None = None,
        begin: Beginning | None = None,
        settings: Mapping[str, str] | None = None,
        token: str = "",
    ) -> None:
        self.port = port
        self.token = token
        self._home = home
        self._begin = begin or partial(_run, str(python or sys.executable))
        self._settings = dict(settings or {})
        self._process: Child | None = None
        self._starts = 0

    @property
    def url(self) -> str:
        """Of its API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def agents_url(self) -> str:
        """Where agents dial."""
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has printed since it was started last."""
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def api(
        self, *, tls: ssl.SSLContext | None = None, url: str = "", patience_s: float = PATIENCE_S
    ) -> PlaneApi:
        """To speak with it; as an async context manager."""
        return PlaneApi(url or self.url, self.token, tls=tls, patience_s=patience_s)

    async def start(self, settings: Mapping[str, str] | None = None) -> float:
        """Start it and wait until it serves; how many seconds that took.

        `settings` are for this time alone. Raises `PlaneFailed`, with the exit code where it has ended.
        """
        assert self._process is None
        self._starts += 1
        begun = time.monotonic()
        environment = self._environment() | dict(settings or {})
        self._process = self._begin(self._home, environment, self._log_file)
        try:
            await self._ready()
        except BaseException:
            self.kill()
            raise
        took = time.monotonic() - begun
        if not self.token:
            self.token = await self._set_up()
        return took

    async def _set_up(self) -> str:
        found = _CODE.search(self.log)
        if found is None:
            raise PlaneFailed(f"no code was printed:\n{self.log[-2000:]}")
        async with PlaneApi(self.url, "") as api:
            body = {"code": found.group(), "name": "ann", "password": "correct horse battery"}
            made = await api.post("/setup", body)
        return str(made["token"])

    def kill(self) -> None:
        """End it at once; harmless again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    async def ended(self) -> int:
        """Wait until it ends by itself, and return its exit code; after `kill`, that of a kill."""
        process = self._process
        assert process is not None
        return await asyncio.to_thread(process.wait)

    async def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(self._process.wait, EXIT_S)
        finally:
            self.kill()

    async def _ready(self) -> None:
        async with asyncio.timeout(READY_S), self.api() as api:
            while not await api.is_ready():
                assert self._process is not None
                if (code := self._process.poll()) is not None:
                    raise PlaneFailed(f"it ended with {code}:\n{self.log[-4000:]}", code)
                await asyncio.sleep(LOOK_EVERY_S)

    @property
    def _log_file(self) -> Path:
        return self._home / f"control-plane-{self._starts}.log"

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._home),
            "CONTROL_PLANE_STATE_DIR": str(self._home / "state"),
            "CONTROL_PLANE_LISTEN": f"127.0.0.1:{self.port}",
            **self._settings,
        }


def _run(python: str, home: Path, environment: Mapping[str, str], log: Path) -> Child:
    with log.open("wb") as printed:
        # Not asyncio's: the next test, on another event loop, may use it too.
        return subprocess.Popen(
            [python, "-I", "-m", "entrypoints.control_plane"],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
        )
