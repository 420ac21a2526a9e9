"""What the benchmarks of the control plane play on: an installed one, fleets, a bare server beside it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.procfs import cpu_seconds, resident_bytes
from tests.fleet.crew import FleetProcess
from tests.fleet.orders import add_order
from tests.fleet.plane_process import PlaneProcess
from tests.support.ports import reserved_port

HEARTBEAT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class PlaneEffort:
    """How many agents there are, how often things are measured, and for how long."""

    agents: int = 10_000
    watched_s: float = 60.0
    """So long the processor is watched while nothing but heartbeats comes: two of each agent."""
    delivery_agents: int = 500
    deliveries: int = 300
    result_hosts: int = 1_000
    results_each: int = 10
    rounds: int = 3
    storms: int = 2


@dataclass(frozen=True, slots=True)
class PlaneStage:
    """Given to each benchmark of the control plane; `python` is the installed one's."""

    python: Path
    home: Path
    effort: PlaneEffort

    @contextlib.asynccontextmanager
    async def plane(self, **settings: str) -> AsyncIterator[PlaneProcess]:
        """A new control plane that serves, with a database of its own."""
        home = Path(tempfile.mkdtemp(prefix="plane-", dir=self.home))
        told = {"CONTROL_PLANE_HEARTBEAT": f"{HEARTBEAT_S:g}", "CONTROL_PLANE_LOG_LEVEL": "warning"}
        with reserved_port() as port:
            plane = PlaneProcess(home, port, python=self.python, settings=told | settings)
            try:
                await plane.start()
                yield plane
            finally:
                plane.kill()

    @contextlib.asynccontextmanager
    async def bare_server(self) -> AsyncIterator[BareServer]:
        """What the websockets library does by itself."""
        with reserved_port() as port:
            server = BareServer(port)
            await server.start()
            try:
                yield server
            finally:
                server.kill()


class BareServer:
    """`benchmarks.bare_server`, as a process of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def agents_url(self) -> str:
        """Where clients dial."""
        return f"ws://127.0.0.1:{self.port}/ws"

    async def start(self) -> float:
        """Start it; how many seconds it took until it listened."""
        begun = asyncio.get_running_loop().time()
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it has to end before anything goes on.
            [sys.executable, "-m", "benchmarks.bare_server", str(self.port)],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        await asyncio.to_thread(self._process.stdout.readline)
        return asyncio.get_running_loop().time() - begun

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


async def cpu_percent(pids: Sequence[int], watched_s: float) -> float:
    """Of one core, what these processes use in that time."""
    before = sum(cpu_seconds(pid) for pid in pids)
    await asyncio.sleep(watched_s)
    return 100 * (sum(cpu_seconds(pid) for pid in pids) - before) / watched_s


async def settled_bytes(pid: int, settle_s: float = 2.0) -> int:
    """What a process has in memory once it had a moment to be done with what came last."""
    await asyncio.sleep(settle_s)
    return resident_bytes(pid)


@contextlib.asynccontextmanager
async def fleets(
    urls: Sequence[str], *, ca_file: Path | None = None, **options: Any
) -> AsyncIterator[list[FleetProcess]]:
    """One fleet for each address, in processes of their own; `options` as of `FleetProcess`."""
    if ca_file is not None:
        options["ca_file"] = str(ca_file)
    async with contextlib.AsyncExitStack() as stack:
        crew = []
        for number, url in enumerate(urls):
            fleet = FleetProcess(url, first_source=10 * (number + 1), dialing=512, **options)
            crew.append(await stack.enter_async_context(fleet))
        yield crew


async def ask_all(crew: Sequence[FleetProcess], do: str, **fields: Any) -> list[dict[str, Any]]:
    """Have all do the same, at the same time."""
    return list(await asyncio.gather(*(fleet.ask(do, **fields) for fleet in crew)))


async def make_agents(
    plane: PlaneProcess,
    crew: Sequence[FleetProcess],
    count: int,
    *,
    labels: dict[str, str],
    script: str = "succeed",
) -> list[str]:
    """Let so many hosts be made, each enrolled, and share them out among fleets, not started yet."""
    names = [f"{next(iter(labels.values()))}-{number}" for number in range(count)]
    async with plane.api() as api:
        memories = await api.memories(names, labels, are_enrolled=True)
    share = -(-count // len(crew))
    for number, fleet in enumerate(crew):
        mine = slice(number * share, (number + 1) * share)
        order = add_order(names[mine], memories[mine], script=script, is_started=False)
        await fleet.carry_out(order)
    return names
