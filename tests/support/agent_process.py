"""The real agent as a process of its own, the way a service manager starts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

TOKEN = "a-token-that-must-not-be-seen"
EXIT_PATIENCE_S = 60.0
LOOK_S = 0.02


class AgentProcess:
    """A running agent; what it printed is in `log` once it has ended, and `read_log` before."""

    def __init__(self, process: asyncio.subprocess.Process, log_file: Path) -> None:
        self.process = process
        self._log_file = log_file

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self._log_file.read_text(encoding="utf-8")

    async def logged(self, text: str) -> None:
        """Wait until it has printed this."""
        async with asyncio.timeout(EXIT_PATIENCE_S):
            while text not in self.log():
                assert self.process.returncode is None, self.log()
                await asyncio.sleep(LOOK_S)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.exit_code()

    async def exit_code(self) -> int:
        async with asyncio.timeout(EXIT_PATIENCE_S):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def running_agent(
    home: Path,
    *,
    server_url: str | None = None,
    settings: Mapping[str, str] | None = None,
    token: str | None = TOKEN,
    under: Sequence[str] = (),
    program: Sequence[str] = (sys.executable, "-I", "-m", "entrypoints.agent"),
) -> AsyncIterator[AgentProcess]:
    """An agent with its projects and state below `home`, ended when the context is.

    `token` is its bearer token, if any; `under` is a program, with arguments, that starts it;
    `program` is what the agent is.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AGENT_PROJECTS_DIR": str(home / "projects"),
        "AGENT_STATE_DIR": str(home / "state"),
        "AGENT_LOG_LEVEL": "debug",
        **({"AGENT_SECRET_TOKEN": token} if token else {}),
        **({"SERVER_URL": server_url} if server_url else {}),
        **(settings or {}),
    }
    log_file = home / "agent.log"
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *under,
            *program,
            cwd=home,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    agent = AgentProcess(process, log_file)
    try:
        yield agent
    finally:
        try:
            await agent.stop()
        except TimeoutError:
            process.kill()
            await process.wait()
