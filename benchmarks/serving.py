"""A control plane with ten thousand agents behind TLS: what they cost, and how they come back."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from benchmarks.control_plane import BenchmarkFailed
from benchmarks.figures import KIBIBYTE, Figure, Unit, at_most
from benchmarks.front import Front, front
from benchmarks.plane_stage import (
    HEARTBEAT_S,
    PlaneStage,
    ask_all,
    cpu_percent,
    fleets,
    make_agents,
    settled_bytes,
)
from benchmarks.probing import ApiProbe, probed
from benchmarks.procfs import cpu_seconds
from benchmarks.sample import Sample
from tests.fleet.crew import ECHO, FleetProcess

LABELS: Final = {"fleet": "bench"}
PATIENCE_S: Final = 400.0
STABLE_S: Final = 65.0
"""So long agents are left alone before a storm: from a minute on, a link that ends is the first to end."""
CALM_S: Final = 15.0
"""So long the API is asked while agents are at rest."""


class Served(Protocol):
    """The server that is measured: a control plane, or a bare one."""

    @property
    def pid(self) -> int:
        """Of its process."""
        ...

    async def start(self) -> float:
        """Start it; how many seconds it took until it served."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


@dataclass(slots=True)
class Found:
    """What was measured of one server."""

    connected_s: float = 0.0
    bytes_each: float = 0.0
    cpu: float = 0.0
    front_cpu: float = 0.0
    front_bytes: float = 0.0
    starts_s: list[float] = field(default_factory=list)
    storms_s: list[float] = field(default_factory=list)
    storm_cpu_s: list[float] = field(default_factory=list)
    beside_cpu_s: list[float] = field(default_factory=list)


async def measure_fleet(stage: PlaneStage) -> Sequence[Figure]:
    """Connections, processor, memory, restart and storm, of a control plane and of a bare server."""
    count = stage.effort.agents
    ours, calm, stormy = await _measure_plane(stage)
    bare = await _measure_bare(stage)
    return [
        *of_agents(count, ours, bare),
        *of_starts(count, ours, bare),
        *of_storms(count, ours, bare),
        *of_api(calm, stormy),
    ]


async def _measure_plane(stage: PlaneStage) -> tuple[Found, ApiProbe, list[ApiProbe]]:
    count, found = stage.effort.agents, Found()
    async with (
        # The front is what connects.
        stage.plane(CONTROL_PLANE_TRUSTED_PROXIES="127.0.0.0/8") as plane,
        front(plane.port, count, stage.home) as before,
        fleets(
            [f"wss://127.0.0.1:{port}/ws" for port in before.ports], ca_file=before.ca_file
        ) as crew,
    ):
        hosts = await make_agents(plane, crew, count, labels=LABELS)
        await ask_all(crew, "start")
        await _all_online(crew, count)
        # As it is after a restart, when nobody has to be enrolled any more.
        await ask_all(crew, "kill")
        plane.kill()
        found.starts_s.append(await plane.start())
        await _connect(found, plane, before, crew, count, lambda: ask_all(crew, "start"))
        tls = ssl.create_default_context(cafile=str(before.ca_file))
        url = f"https://127.0.0.1:{before.ports[0]}"
        await _watch(found, plane, before, stage.effort.watched_s)
        async with probed(plane, hosts, url=url, tls=tls) as calm:
            await asyncio.sleep(CALM_S)
        stormy = []
        for _ in range(stage.effort.storms):
            await asyncio.sleep(STABLE_S)
            plane.kill()
            await ask_all(crew, "offline")
            found.starts_s.append(await plane.start())
            async with probed(plane, hosts, url=url, tls=tls) as probe:
                await _storm(found, plane, before, crew, count)
            stormy.append(probe)
        for report in await ask_all(crew, "report"):
            if report["blames"] or report["complaints"]:
                raise BenchmarkFailed(str(report["blames"][:3] + report["complaints"][:3]))
    return found, calm, stormy


async def _measure_bare(stage: PlaneStage) -> Found:
    count, found = stage.effort.agents, Found()
    async with (
        stage.bare_server() as server,
        front(server.port, count, stage.home) as before,
        fleets(
            [f"wss://127.0.0.1:{port}/ws" for port in before.ports],
            ca_file=before.ca_file,
            module=ECHO,
            each_s=HEARTBEAT_S,
        ) as crew,
    ):
        share = -(-count // len(crew))
        shares = [min(share, count - share * number) for number in range(len(crew))]

        async def add() -> None:
            await asyncio.gather(
                *(fleet.ask("add", count=n) for fleet, n in zip(crew, shares, strict=True))
            )

        await _connect(found, server, before, crew, count, add)
        await _watch(found, server, before, stage.effort.watched_s)
        for _ in range(stage.effort.storms):
            await asyncio.sleep(STABLE_S)
            server.kill()
            found.starts_s.append(await server.start())
            await _storm(found, server, before, crew, count)
    return found


async def _connect(
    found: Found,
    server: Served,
    before: Front,
    crew: Sequence[FleetProcess],
    count: int,
    start: Callable[[], Awaitable[object]],
) -> None:
    """Have all connect to a server that has just been started."""
    empty = await settled_bytes(server.pid)
    front_empty = sum([await settled_bytes(pid, 0) for pid in before.pids])
    begun = time.monotonic()
    await start()
    await _all_online(crew, count)
    found.connected_s = time.monotonic() - begun
    found.bytes_each = (await settled_bytes(server.pid) - empty) / count
    front_full = sum([await settled_bytes(pid, 0) for pid in before.pids])
    found.front_bytes = (front_full - front_empty) / count


async def _watch(found: Found, server: Served, before: Front, watched_s: float) -> None:
    """Look on while nothing but heartbeats comes."""
    found.cpu, found.front_cpu = await asyncio.gather(
        cpu_percent([server.pid], watched_s), cpu_percent(before.pids, watched_s)
    )


async def _storm(
    found: Found, server: Served, before: Front, crew: Sequence[FleetProcess], count: int
) -> None:
    """All come back to a server that serves again."""
    beside = [*before.pids, *(fleet.pid for fleet in crew)]
    begun = time.monotonic()
    used, used_beside = cpu_seconds(server.pid), sum(cpu_seconds(pid) for pid in beside)
    await _all_online(crew, count)
    found.storms_s.append(time.monotonic() - begun)
    found.storm_cpu_s.append(cpu_seconds(server.pid) - used)
    found.beside_cpu_s.append(sum(cpu_seconds(pid) for pid in beside) - used_beside)


async def _all_online(crew: Sequence[FleetProcess], count: int) -> None:
    answers = await ask_all(crew, "online", patience_s=PATIENCE_S)
    online = sum(answer["online"] for answer in answers)
    if online != count:
        raise BenchmarkFailed(f"{online} of {count} agents are online")


def of_agents(count: int, ours: Found, bare: Found) -> list[Figure]:
    """What agents at rest cost."""
    percent, kibibytes = Unit.PERCENT, Unit.KIBIBYTES
    note = f"a heartbeat of each side every {HEARTBEAT_S:g} s; of one core; TLS is done before it"
    memory = "growth of RSS, divided by the number of agents; after a restart"
    return [
        Figure("agents connected", Sample((float(count),)), Unit.COUNT),
        Figure("processor, agents at rest", Sample((ours.cpu,)), percent, at_most(25), note),
        Figure("bare server: processor", Sample((bare.cpu,)), percent),
        Figure(
            "processor: ratio", Sample((ours.cpu / bare.cpu,)), Unit.RATIO, note="to the bare one"
        ),
        Figure(
            "memory of an agent",
            Sample((ours.bytes_each / KIBIBYTE,)),
            kibibytes,
            at_most(32),
            memory,
        ),
        Figure("bare server: memory of a client", Sample((bare.bytes_each / KIBIBYTE,)), kibibytes),
        Figure("memory: ratio", Sample((ours.bytes_each / bare.bytes_each,)), Unit.RATIO),
        Figure(
            "TLS: processor",
            Sample((ours.front_cpu,)),
            percent,
            note="HAProxy's, beside the control plane",
        ),
        Figure("TLS: memory of an agent", Sample((ours.front_bytes / KIBIBYTE,)), kibibytes),
    ]


def of_starts(count: int, ours: Found, bare: Found) -> list[Figure]:
    """How soon it serves."""
    note = f"killed, and started again, to the first answer of /readyz; {count:,} hosts are known"
    return [
        Figure("restart to serving", Sample(tuple(ours.starts_s)), Unit.SECONDS, note=note),
        Figure("bare server: start to listening", Sample(tuple(bare.starts_s)), Unit.SECONDS),
    ]


def of_storms(count: int, ours: Found, bare: Found) -> list[Figure]:
    """How soon all are back, and what that costs."""
    seconds = Unit.SECONDS
    note = "from serving again to the last one welcome, each with a new TLS handshake, on all cores"
    storms, bare_storms = Sample(tuple(ours.storms_s)), Sample(tuple(bare.storms_s))
    return [
        Figure(f"{count:,} agents connect", Sample((ours.connected_s,)), seconds),
        Figure(f"bare server: {count:,} clients connect", Sample((bare.connected_s,)), seconds),
        Figure(f"storm: {count:,} agents come back", storms, seconds, at_most(30), note),
        Figure("bare server: storm", bare_storms, seconds),
        Figure("storm: ratio", Sample((storms.median / bare_storms.median,)), Unit.RATIO),
        Figure("storm: processor time", Sample(tuple(ours.storm_cpu_s)), seconds, note="its own"),
        Figure("bare server: processor time", Sample(tuple(bare.storm_cpu_s)), seconds),
        Figure(
            "storm: processor time of TLS and the agents",
            Sample(tuple(ours.beside_cpu_s)),
            seconds,
            note="on the same cores",
        ),
    ]


def of_api(calm: ApiProbe, stormy: Sequence[ApiProbe]) -> list[Figure]:
    """How soon the API answers meanwhile."""
    p50s = Sample(tuple(1000 * probe.sample.percentile(50) for probe in stormy))
    p99s = Sample(tuple(1000 * probe.sample.percentile(99) for probe in stormy))
    asked = sum(len(probe.seconds) for probe in stormy)
    failures = [failure for probe in (calm, *stormy) for failure in probe.failures]
    note = f"{asked} requests over TLS, 20 a second: hosts, jobs, and deployments in turn"
    return [
        Figure(
            "API with agents at rest, p99",
            Sample((1000 * calm.sample.percentile(99),)),
            Unit.MILLISECONDS,
        ),
        Figure("API meanwhile, p50", p50s, Unit.MILLISECONDS),
        Figure("API meanwhile, p99", p99s, Unit.MILLISECONDS, at_most(500), note),
        Figure(
            "API: requests without an answer",
            Sample((float(len(failures)),)),
            Unit.COUNT,
            at_most(0),
            failures[0][:100] if failures else "",
        ),
    ]
