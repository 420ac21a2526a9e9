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
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.fleet.plane_api import PATIENCE_S, PlaneApi

READY_S: Final = 60.0
EXIT_S: Final = 60.0
LOOK_EVERY_S: Final = 0.01
_TOKEN: Final = re.compile(r"\bida_[A-Za-z0-9_-]{20,}")


class PlaneFailed(Exception):
    """It ended, or does not serve."""


class PlaneProcess:
    """It keeps its state below `home`, whatever happens to its process, and listens on `port`.

    `token` is the administrator's, which is printed at the first start alone. It is ended with `kill`
    or `stop` before whoever started it ends.
    """

    def __init__(
        self,
        home: Path,
        port: int,
        *,
        python: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self.token = ""
        self._home = home
        self._python = str(python or sys.executable)
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
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

    async def start(self) -> float:
        """Start it and wait until it serves; how many seconds that took."""
        assert self._process is None
        self._starts += 1
        begun = time.monotonic()
        with self._log_file.open("wb") as log:
            # Not asyncio's: the next test, on another event loop, may use it too.
            self._process = subprocess.Popen(  # noqa: ASYNC220
                [self._python, "-I", "-m", "entrypoints.control_plane"],
                cwd=self._home,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            await self._ready()
        except BaseException:
            self.kill()
            raise
        took = time.monotonic() - begun
        if not self.token:
            found = _TOKEN.search(self.log)
            if found is None:
                raise PlaneFailed(f"no token was printed:\n{self.log[-2000:]}")
            self.token = found.group()
        return took

    def kill(self) -> None:
        """End it at once; harmless again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

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
                    raise PlaneFailed(f"it ended with {code}:\n{self.log[-4000:]}")
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
