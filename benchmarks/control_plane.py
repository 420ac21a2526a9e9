"""A control plane of protocol v1 that does what a script tells it, and notes when."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request

PATIENCE_S: Final = 300.0
"""How long anything may take before a benchmark gives up; nothing measured comes near it."""


class BenchmarkFailed(Exception):
    """What was to be measured did not happen."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A command's end, and the seconds from its sending to its acknowledgement and to its end."""

    final: dict[str, Any]
    acknowledged_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class Burst:
    """What came back for commands that were sent without waiting for answers."""

    completed: int
    busy: int
    seconds: float


class _StampedConnection(ServerConnection):
    requested_at = 0.0


class AgentLink:
    """The control plane's end of one agent's connection."""

    _ids = itertools.count(1)

    def __init__(self, connection: _StampedConnection) -> None:
        self._connection = connection
        self.requested_at = connection.requested_at
        """When the upgrade request was seen, on `time.perf_counter`'s scale."""

    async def ask(self, command_type: str, payload: object) -> Answer:
        """Send one command and wait for its end; raises `BenchmarkFailed` where it fails."""
        job_id = f"bench-{next(self._ids)}"
        frame = json.dumps({"id": job_id, "type": command_type, "payload": payload})
        async with asyncio.timeout(PATIENCE_S):
            sent_at = time.perf_counter()
            await self._connection.send(frame)
            received = json.loads(await self._connection.recv())
            acknowledged_at = time.perf_counter()
            final = json.loads(await self._connection.recv())
            ended_at = time.perf_counter()
        statuses = [(r["job_id"], r["status"]) for r in (received, final)]
        if statuses != [(job_id, "IN_PROGRESS"), (job_id, "COMPLETED")]:
            raise BenchmarkFailed(f"{command_type}: {final}")
        return Answer(final, acknowledged_at - sent_at, ended_at - sent_at)

    async def deploy(self, project: str, compose: str) -> Answer:
        """DEPLOY_COMPOSE."""
        encoded = base64.b64encode(compose.encode()).decode()
        payload = {"project_name": project, "compose_file_base64": encoded}
        return await self.ask("DEPLOY_COMPOSE", payload)

    async def stop(self, project: str) -> Answer:
        """STOP_COMPOSE."""
        return await self.ask("STOP_COMPOSE", {"project_name": project})

    async def status(self, project: str) -> Answer:
        """STATUS."""
        return await self.ask("STATUS", {"project_name": project})

    async def health(self) -> Answer:
        """HEALTH_CHECK."""
        return await self.ask("HEALTH_CHECK", {})

    async def burst(self, count: int) -> Burst:
        """Send HEALTH_CHECKs as fast as the link takes them, reading the answers meanwhile."""
        ids = [f"burst-{next(self._ids)}" for _ in range(count)]
        frames = [json.dumps({"id": i, "type": "HEALTH_CHECK", "payload": {}}) for i in ids]
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            started = time.perf_counter()
            tasks.create_task(self._send_all(frames), name="burst")
            # Read apart afterwards: what this program does meanwhile, the agent waits for.
            received = [await self._connection.recv(decode=False) for _ in range(2 * count)]
            seconds = time.perf_counter() - started
        return judge_burst(ids, [json.loads(frame) for frame in received], seconds)

    async def _send_all(self, frames: Sequence[str]) -> None:
        for frame in frames:
            await self._connection.send(frame)


def judge_burst(ids: Sequence[str], responses: Sequence[dict[str, Any]], seconds: float) -> Burst:
    """Count the ends; raises `BenchmarkFailed` unless each id was acknowledged once and ended once."""
    acknowledged = [r["job_id"] for r in responses if r["status"] == "IN_PROGRESS"]
    finals = [r for r in responses if r["status"] != "IN_PROGRESS"]
    ended = [r["job_id"] for r in finals]
    if sorted(acknowledged) != sorted(ids) or sorted(ended) != sorted(ids):
        raise BenchmarkFailed("not every command was acknowledged once and ended once")
    reasons = [(r.get("data") or {}).get("reason") for r in finals]
    failed = sum(r["status"] != "COMPLETED" for r in finals)
    return Burst(len(ids) - failed, reasons.count("busy"), seconds)


class ControlPlane:
    """Listens at `url` and gives out the agents that connect."""

    def __init__(self, url: str, agents: asyncio.Queue[AgentLink]) -> None:
        self.url = url
        self._agents = agents

    async def agent(self) -> AgentLink:
        """The next agent that connects."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._agents.get()


@contextlib.asynccontextmanager
async def control_plane(tls: ssl.SSLContext | None = None) -> AsyncIterator[ControlPlane]:
    """A control plane on a loopback port of the kernel's choice."""
    agents: asyncio.Queue[AgentLink] = asyncio.Queue()

    def note_request(connection: ServerConnection, _request: Request) -> None:
        assert isinstance(connection, _StampedConnection)
        connection.requested_at = time.perf_counter()

    async def keep(connection: ServerConnection) -> None:
        assert isinstance(connection, _StampedConnection)
        agents.put_nowait(AgentLink(connection))
        await connection.wait_closed()

    async with serve(
        keep,
        "127.0.0.1",
        0,
        process_request=note_request,
        create_connection=_StampedConnection,
        ssl=tls,
        compression=None,
        max_size=None,
        max_queue=None,
        ping_interval=None,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield ControlPlane(f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/ws", agents)
