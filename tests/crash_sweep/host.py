"""A host for one agent: a stand-in for `docker` that keeps a ledger of its effects, and an engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from adapters.compose.process_identity import RUN_MARKER

BREAKS: Final = "breaks"
"""A compose file that says so makes `up` fail, once it has made the container."""
HASH: Final = "c" * 64
VERSION: Final = b'{"Version": "29.1.0", "ApiVersion": "1.52", "Os": "linux"}'
LOOK_S: Final = 0.005
IMAGE: Final = "sha256:" + "a" * 64
GOES_ON: Final = 64
"""So many runs can go through an open gate."""

_HEAD: Final = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: %d\r\n\r\n"

# The lock is the kernel's: it is let go of when the last process that holds it is dead, and tells two
# runs at once also where one of them was killed. What is appended in one write stays in one piece.
_DOCKER: Final = r"""#!/bin/sh
case "$*" in 'compose version --short') echo 2.26.1; exit ;; esac
cd '{host}' || exit 99
project=$7
while [ $# -gt 0 ]; do
  case "$1" in
    -f) file=$2; shift ;;
    up | down) action=$1 ;;
    --hash) echo 'web {hash}'; exit ;;
    --format) printf '{{\n"services": {{"web": {{"image": "example"}}}}\n}}\n'; exit ;;
  esac
  shift
done
say() {{ printf '%s %s %s %s\n' "$1" "${{INSTADEPLOY_RUN:-none}}" "$action" "$project" >> effects; }}
exec 9>> "locks/$project"
flock --nonblock 9 || say overlap
say start
if [ -e "gates/$action.$project" ]; then read -r _ < "gates/$action.$project"; fi
if [ "$action" = down ]; then rm -f "containers/$project"; else : > "containers/$project"; fi
echo " Container $project-web-1  $action"
say end
case "$action $(cat "$file")" in up*{breaks}*) echo 'it breaks'; exit 1 ;; esac
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
        for name in ("bin", "locks", "gates", "containers"):
            (self.directory / name).mkdir()
        docker = self.directory / "bin" / "docker"
        script = _DOCKER.format(host=self.directory, hash=HASH, breaks=BREAKS)
        docker.write_text(script, encoding="ascii")
        docker.chmod(0o755)
        engine = await asyncio.start_unix_server(self._answer, self._socket)
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
                    "AGENT_SETTLE_TIME": "0.01",
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

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The engine, which has a container for each project that is up."""
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                body = self._body(request.split(b" ", 2)[1].decode())
                writer.write(_HEAD % len(body) + body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def _body(self, path: str) -> bytes:
        if "/_ping" in path:
            return b"OK"
        if "/version" in path:
            return VERSION
        if "/images/" in path:
            return json.dumps({"Id": IMAGE, "RepoTags": ["example"]}).encode()
        found = [_container(one.name) for one in (self.directory / "containers").iterdir()]
        if "/containers/json" in path:
            return json.dumps(
                [{**one, "State": "running", "Status": "Up"} for one in found]
            ).encode()
        started = {"Status": "running", "StartedAt": "2026-01-31T12:00:00Z"}
        state = {"State": started, "RestartCount": 0}
        return json.dumps(next(one | state for one in found if str(one["Id"]) in path)).encode()

    def _has(self, process: psutil.Process, variable: str) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            environment = process.environ()
            return (
                variable in environment
                and environment.get("HOME") == str(self.directory)
                and process.status() != psutil.STATUS_ZOMBIE
            )
        return False


def _container(project: str) -> dict[str, object]:
    """It runs, as long as it is there; as the engine lists it, and as it inspects it."""
    name = f"{project}-web-1"
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": "1",
        "com.docker.compose.config-hash": HASH,
    }
    return {
        "Id": name.encode().hex().ljust(64, "0"),
        "Names": [f"/{name}"],
        "Name": f"/{name}",
        "Image": IMAGE,
        "ImageID": IMAGE,
        "Labels": labels,
        "Config": {"Image": "example", "Labels": labels},
    }


async def until(condition: Callable[[], bool]) -> None:
    """Another process makes it true, and tells nobody. Whoever waits bounds it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal it, if it is not over. Asyncio's own way takes its exit status from those who wait."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
