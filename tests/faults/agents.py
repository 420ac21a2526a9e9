"""An agent that may be killed, stopped and started again, on a host that stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from adapters.compose.process_identity import RUN_MARKER
from tests.support.agent_process import TOKEN

EXIT_PATIENCE_S = 60.0

DOCKER = """#!/bin/sh
printf '%s %s\\n' "${RUN_MARKER-none}" "$*" >>{log}
exec {docker} "$@"
"""
"""Notes each start before it becomes the real program; one short line is written whole."""


QUESTIONS = ("config", "ps")
"""The agent asks them itself: they change nothing, and are no run's."""
ACTIONS = ("pull", "build", "up", "restart", "down")


@dataclass(frozen=True)
class Start:
    """One start of the docker program: by which run, and to do what with which project."""

    run: str
    action: str
    project: str


class AgentHost:
    """A host: what is below `home` stays, the process on it comes and goes.

    `prefix` is what starts the agent, before its own arguments, such as what enters a network
    namespace; it has to become the agent by exec.
    """

    def __init__(
        self,
        home: Path,
        url: str,
        *,
        settings: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        python: str = sys.executable,
    ) -> None:
        self.home = home
        self.url = url
        self.settings = dict(settings or {})
        self.prefix = tuple(prefix)
        self.python = python
        self.starts = 0
        self.process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def state_dir(self) -> Path:
        return Path(self.settings.get("AGENT_STATE_DIR", self.home / "state"))

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def log(self) -> str:
        path = self.home / "agent.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    async def start(self) -> None:
        """Start it; what it prints goes behind what earlier ones have printed."""
        assert not self.is_running
        self.home.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        environment = {
            "PATH": f"{self._programs()}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "SERVER_URL": self.url,
            "AGENT_SECRET_TOKEN": TOKEN,
            "AGENT_PROJECTS_DIR": str(self.home / "projects"),
            "AGENT_STATE_DIR": str(self.home / "state"),
            "AGENT_LOCK_DIR": str(self.home / "locks"),
            "AGENT_LOG_LEVEL": "debug",
            "AGENT_SETTLE_TIME": "0.1",
            **self.settings,
        }
        with (self.home / "agent.log").open("ab") as log:
            log.write(f"---- start {self.starts}\n".encode())
            log.flush()
            self.process = await asyncio.create_subprocess_exec(
                *self.prefix,
                *(self.python, "-I", "-m", "entrypoints.agent"),
                cwd=self.home,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def docker_starts(self) -> list[Start]:
        """Every start of docker for a project, in order."""
        log = self.home / "docker-starts"
        found = []
        for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
            run, *arguments = line.split(" ")
            if "-p" in arguments:
                project = arguments[arguments.index("-p") + 1]
                action = next(word for word in arguments if word in (*QUESTIONS, *ACTIONS))
                found.append(Start(run, action, project))
        return found

    def _programs(self) -> Path:
        directory = self.home / "bin"
        if not directory.exists():
            directory.mkdir()
            docker = shutil.which("docker")
            assert docker is not None
            script = DOCKER.replace("RUN_MARKER", RUN_MARKER).replace("{docker}", docker)
            program = directory / "docker"
            log = self.home / "docker-starts"
            program.write_text(script.replace("{log}", str(log)), encoding="ascii")
            program.chmod(0o755)
        return directory

    async def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def kill_and_restart(self) -> None:
        await self.kill()
        await self.start()

    async def terminate(self) -> int:
        """Ask it to end as a service manager does; returns its exit code."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            async with asyncio.timeout(EXIT_PATIENCE_S):
                return await self.process.wait()
        except TimeoutError:
            await self.kill()
            raise

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def executors(self) -> list[psutil.Process]:
        """Every process of a run of this host's agents, the job runners first; no zombies."""
        found = []
        tokens: set[str] = set()
        marked: list[tuple[psutil.Process, str, str]] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                token = process.environ().get(RUN_MARKER)
                if token is None or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                command = " ".join(process.cmdline())
                if str(self.home) in command or str(self.state_dir) in command:
                    tokens.add(token)
                marked.append((process, token, command))
        for process, token, _ in marked:
            if token in tokens:
                found.append(process)
        return sorted(found, key=lambda process: process.pid)


def is_compose(process: psutil.Process, action: str) -> bool:
    """Whether it is the docker program, or its plugin, and does this; the job runner is neither."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        command = process.cmdline()
        return bool(command) and "docker" in Path(command[0]).name and action in command
    return False
