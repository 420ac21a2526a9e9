"""What every benchmark plays on: an installed agent, a place for its files, an image, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

from benchmarks.compose_by_hand import run_docker
from benchmarks.control_plane import AgentLink, ControlPlane, control_plane
from tests.support.peer_database import PeerDatabase
from tests.support.peer_keys import PeerKeys
from tests.support.reference_peer import ReferencePeer

TOKEN: Final = "a-token-for-benchmarks"
SETTLE_TIME_S: Final = "0.1"
"""Not the default: how long it is looked whether a container goes on running is no work."""
EXIT_S: Final = 60.0
DEFAULT_DOCKER_HOST: Final = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Effort:
    """How often things are measured, and for how long."""

    rounds: int = 15
    starts: int = 15
    agents: int = 3
    acknowledgements: int = 500
    burst: int = 1000
    bursts: int = 5
    reads: int = 100
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """A connected agent, and the seconds from the start of its process to its upgrade request."""

    pid: int
    link: AgentLink
    home: Path
    connected_s: float


@dataclass(frozen=True, slots=True)
class Stage:
    """Given to each benchmark."""

    python: Path
    home: Path
    image: str
    effort: Effort

    @property
    def docker_host(self) -> str:
        """The engine, for the agent and for what is run by hand."""
        return os.environ.get("AGENT_DOCKER_HOST", DEFAULT_DOCKER_HOST)

    def compose_environment(self) -> dict[str, str]:
        """The environment that the agent gives to Compose, for running the same by hand."""
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "HOME": str(self.home), "DOCKER_HOST": self.docker_host}

    def project(self, role: str) -> str:
        """A name for a project that nothing else on this engine has."""
        return f"idbench-{os.getpid()}-{role}"

    def take_down(self, project: str) -> None:
        """Remove what a project left on the engine, by its label; harmless where nothing is left."""
        label = f"label=com.docker.compose.project={project}"
        for kind, options in (("container", ("--all",)), ("network", ())):
            left = run_docker(kind, "ls", "--quiet", *options, "--filter", label).split()
            if left:
                run_docker(kind, "rm", *(["--force"] if kind == "container" else []), *left)

    @contextlib.asynccontextmanager
    async def connected_agent(
        self, plane: ControlPlane, *, programs: Path | None = None, ca_file: Path | None = None
    ) -> AsyncIterator[RunningAgent]:
        """A new agent that has connected to `plane`; programs in `programs` come first for it."""
        home = Path(tempfile.mkdtemp(prefix="agent-", dir=self.home))
        environment = self._agent_environment(home, plane.url) | {"AGENT_SECRET_TOKEN": TOKEN}
        if programs is not None:
            environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
        if ca_file is not None:
            environment["AGENT_CA_FILE"] = str(ca_file)
        async with _process(self.python, home, environment) as (process, started_at):
            link = await plane.agent()
            yield RunningAgent(process.pid, link, home, link.requested_at - started_at)

    def _agent_environment(self, home: Path, url: str) -> dict[str, str]:
        environment = self.compose_environment() | {
            "SERVER_URL": url,
            "AGENT_PROJECTS_DIR": str(home / "projects"),
            "AGENT_STATE_DIR": str(home / "state"),
            "AGENT_DOCKER_HOST": self.docker_host,
            "AGENT_SETTLE_TIME": SETTLE_TIME_S,
        }
        del environment["DOCKER_HOST"]
        return environment

    @contextlib.asynccontextmanager
    async def enrolled_agent(self) -> AsyncIterator[int]:
        """The process of an agent that is connected over TLS and protocol v2, by its host's key.

        It was enrolled in an earlier life: what is needed for that alone is not in its memory.
        """
        home = Path(tempfile.mkdtemp(prefix="agent-", dir=self.home))
        context, ca_file = self._authority()
        keys = PeerKeys()
        async with ReferencePeer(PeerDatabase(keys=keys), tls=context) as plane:
            environment = self._agent_environment(home, plane.url)
            environment["AGENT_CA_FILE"] = str(ca_file)
            enrolling = environment | {"AGENT_ENROLL_TOKEN": keys.new_token()}
            async with _process(self.python, home, enrolling):
                session = await plane.agent()
            async with _process(self.python, home, environment) as (process, _):
                await plane.agent(after=session)
                yield process.pid

    @contextlib.asynccontextmanager
    async def secure_control_plane(self) -> AsyncIterator[tuple[ControlPlane, Path]]:
        """A control plane on wss, and the file of the private authority that vouches for it."""
        context, ca_file = self._authority()
        async with control_plane(context) as plane:
            yield plane, ca_file

    def _authority(self) -> tuple[ssl.SSLContext, Path]:
        authority = trustme.CA()
        ca_file = self.home / "authority.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        return context, ca_file

    @contextlib.asynccontextmanager
    async def secure_agent(self, *, programs: Path | None = None) -> AsyncIterator[RunningAgent]:
        """An agent connected over TLS to a control plane of its own: the form that is budgeted."""
        async with (
            self.secure_control_plane() as (plane, ca_file),
            self.connected_agent(plane, programs=programs, ca_file=ca_file) as agent,
        ):
            yield agent


@contextlib.asynccontextmanager
async def _process(
    python: Path, home: Path, environment: dict[str, str]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, float]]:
    with (home / "agent.log").open("wb") as log:
        started_at = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            python,
            "-I",
            "-m",
            "entrypoints.agent",
            cwd=home,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process, started_at
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(EXIT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
