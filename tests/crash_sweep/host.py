"""A host for one agent: a stand-in for `docker` that keeps a ledger of its effects, and an engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from adapters.compose.process_identity import RUN_MARKER

VERSION: Final = b'{"Version": "29.1.0", "ApiVersion": "1.52", "Os": "linux"}'
LOOK_S: Final = 0.005
GOES_ON: Final = 64
"""So many runs can go through an open gate."""

# The lock is the kernel's: it is let go of when the last process that holds it is dead, and tells two
# runs at once also where one of them was killed. What is appended in one write stays in one piece.
_DOCKER: Final = r"""#!/bin/sh
case "$*" in 'compose version --short') echo 2.26.1; exit ;; esac
cd '{host}' || exit 99
project=$7 action=${{12}}
say() {{ printf '%s %s %s %s\n' "$1" "${{INSTADEPLOY_RUN:-none}}" "$action" "$project" >> effects; }}
exec 9>> "locks/$project"
flock --nonblock 9 || say overlap
say start
if [ -e "gates/$action.$project" ]; then read -r _ < "gates/$action.$project"; fi
echo " Container $project-web-1  $action"
say end
"""


@dataclass(frozen=True, slots=True)
class Effect:
    """A line of the ledger: `what` is `start`, `end`, or `overlap` where another run had not ended."""

    what: str
    token: str
    action: str
    project: str


class Host:
    """Everything is below `directory`; `phase` is what the scenario is at, for whoever reports."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.projects = directory / "projects"
        self.log = directory / "agent.log"
        self.phase = "start"
        self._gates: list[int] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """It is there while the context lasts; nothing of it runs on."""
        for name in ("bin", "locks", "gates"):
            (self.directory / name).mkdir()
        docker = self.directory / "bin" / "docker"
        docker.write_text(_DOCKER.format(host=self.directory), encoding="ascii")
        docker.chmod(0o755)
        engine = await asyncio.start_unix_server(_answer, self._socket)
        try:
            async with engine:
                yield
        finally:
            for fd in self._gates:
                os.close(fd)
            for process in self.everything():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    @property
    def _socket(self) -> Path:
        return self.directory / "engine.sock"

    async def start_agent(self, server_url: str) -> asyncio.subprocess.Process:
        """The real one. What it says is added to `log`."""
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-m", "entrypoints.agent"),
                cwd=self.directory,
                env={
                    "PATH": f"{self.directory}/bin:/usr/bin:/bin",
                    "HOME": str(self.directory),
                    "SERVER_URL": server_url,
                    "AGENT_SECRET_TOKEN": "for-a-test",
                    "AGENT_PROJECTS_DIR": str(self.projects),
                    "AGENT_STATE_DIR": str(self.state),
                    "AGENT_LOCK_DIR": str(self.directory / "locks"),
                    "AGENT_DOCKER_HOST": f"unix://{self._socket}",
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def close_gate(self, action: str, project: str) -> None:
        """Runs of this kind stay at it until it is opened, or they are ended."""
        os.mkfifo(self.directory / "gates" / f"{action}.{project}")

    def open_gate(self, action: str, project: str) -> None:
        """Let those go on that wait, and those that come."""
        # Kept open: who comes later finds a line, and no end of the file.
        fd = os.open(self.directory / "gates" / f"{action}.{project}", os.O_RDWR)
        os.write(fd, b"\n" * GOES_ON)
        self._gates.append(fd)

    def effects(self) -> list[Effect]:
        """The ledger, in the order in which things happened."""
        try:
            text = (self.directory / "effects").read_text(encoding="ascii")
        except FileNotFoundError:
            return []
        return [Effect(*line.split()) for line in text.splitlines()]

    def has_begun(self, action: str, project: str) -> bool:
        """Whether there was a run of this kind."""
        return any(
            (effect.what, effect.action, effect.project) == ("start", action, project)
            for effect in self.effects()
        )

    def processes(self) -> list[psutil.Process]:
        """Those of any run; no zombies."""
        return [process for process in psutil.process_iter() if self._has(process, RUN_MARKER)]

    def everything(self) -> list[psutil.Process]:
        """The agent too, and what it has forked and not yet made another program."""
        return [process for process in psutil.process_iter() if self._has(process, "HOME")]

    def _has(self, process: psutil.Process, variable: str) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            environment = process.environ()
            return (
                variable in environment
                and environment.get("HOME") == str(self.directory)
                and process.status() != psutil.STATUS_ZOMBIE
            )
        return False


async def until(condition: Callable[[], bool]) -> None:
    """Another process makes it true, and tells nobody. Whoever waits bounds it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal it, if it is not over. Asyncio's own way takes its exit status from those who wait."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An engine that has no containers."""
    try:
        request = await reader.readuntil(b"\r\n\r\n")
        body = b"[]"
        if b"/_ping" in request:
            body = b"OK"
        elif b"/version" in request:
            body = VERSION
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()
