"""A control plane of protocol v1 that does what a script tells it, and notes when."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from tests.support.control_plane import Asking, Listening

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


class AgentLink(Asking[Answer]):
    """The control plane's end of one agent's connection."""

    _ids = itertools.count(1)

    def __init__(self, connection: ServerConnection) -> None:
        assert isinstance(connection, _StampedConnection)
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

    async def acknowledged_s(self, command_type: str, payload: object) -> float:
        """Send one command and wait for its end, which may be a failure; seconds to its receipt."""
        job_id = f"bench-{next(self._ids)}"
        frame = json.dumps({"id": job_id, "type": command_type, "payload": payload})
        async with asyncio.timeout(PATIENCE_S):
            sent_at = time.perf_counter()
            await self._connection.send(frame)
            await self._connection.recv(decode=False)
            took = time.perf_counter() - sent_at
            await self._connection.recv(decode=False)
        return took

    async def stop_unknown(self, count: int) -> float:
        """Stop so many projects that are not there, at once; how many are acknowledged a second."""
        frames = []
        for _ in range(count):
            number = next(self._ids)
            payload = {"project_name": f"nothing-{number}"}
            frames.append(
                json.dumps({"id": f"stop-{number}", "type": "STOP_COMPOSE", "payload": payload})
            )
        acknowledged, took = 0, 0.0
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            started = time.perf_counter()
            tasks.create_task(self._send_all(frames), name="stops")
            for _ in range(2 * count):
                acknowledged += b"IN_PROGRESS" in await self._connection.recv(decode=False)
                if acknowledged == count and not took:
                    took = time.perf_counter() - started
        return count / took

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


class ControlPlane(Listening[AgentLink]):
    """Gives out the agents that connect, and takes whatever they send as fast as it comes."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(
            AgentLink,
            tls=tls,
            patience_s=PATIENCE_S,
            process_request=_note_request,
            create_connection=_StampedConnection,
            max_size=None,
            max_queue=None,
            ping_interval=None,
        )


def control_plane(tls: ssl.SSLContext | None = None) -> ControlPlane:
    """A control plane on a loopback port, for as long as its context is entered."""
    return ControlPlane(tls)


def _note_request(connection: ServerConnection, _request: Request) -> None:
    assert isinstance(connection, _StampedConnection)
    connection.requested_at = time.perf_counter()
