"""`python -m tests.fleet.worker`: a fleet in a process of its own, that does what it is told on stdin.

`crew.FleetProcess` speaks with it. Orders are carried out one after another, in the order they came.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Protocol

from tests.fleet.fleet import Fleet
from tests.fleet.loops import run
from tests.fleet.memory import OVER, Memory
from tests.fleet.orders import Order
from tests.fleet.pace import Pace
from tests.fleet.scripts import SCRIPTS, Manners
from tests.fleet.upgrade import BOTH

MAX_LINE_BYTES: Final = 256 << 20
Answer = dict[str, Any]


class CarriesOut(Protocol):
    """Who is told what to do."""

    async def carry_out(self, order: Order) -> Answer:
        """Do one thing, and say what came of it."""

    async def end(self) -> None:
        """There are no more orders."""


class Worker:
    """Carries out orders. `open` has to be the first."""

    def __init__(self) -> None:
        self._fleet: Fleet | None = None
        self._doing: dict[str, Callable[[Order], Awaitable[Answer]]] = {
            "open": self._open,
            "add": self._add,
            "online": self._online,
            "offline": self._offline,
            "settled": self._settled,
            "counted": self._counted,
            "release": self._release,
            "cut": self._cut,
            "kill": self._kill,
            "start": self._start,
            "script": self._script,
            "report": self._report,
            "ledgers": self._ledgers,
            "accepted": self._accepted,
            "memories": self._memories,
        }

    @property
    def fleet(self) -> Fleet:
        assert self._fleet is not None, "the first order is `open`"
        return self._fleet

    async def carry_out(self, order: Order) -> Answer:
        """Do one thing, and say what came of it."""
        try:
            return {"ok": True, **await self._doing[order["do"]](order)}
        except (AssertionError, LookupError, ValueError, TypeError, OSError) as failure:
            return {"ok": False, "error": f"{order.get('do')}: {type(failure).__name__}: {failure}"}

    async def end(self) -> None:
        """Stop the fleet."""
        if self._fleet is not None:
            await self._fleet.stop()

    async def _open(self, order: Order) -> Answer:
        tls = None
        if "ca_file" in order:
            tls = ssl.create_default_context(cafile=order["ca_file"])
        keeping = Path(order["keeping"]) if "keeping" in order else None
        self._fleet = Fleet(
            order["url"],
            pace=Pace(**order.get("pace", {})),
            tls=tls,
            dialing=order.get("dialing", 256),
            first_source=order.get("first_source", 1),
            keeping=keeping,
        )
        return {}

    async def _add(self, order: Order) -> Answer:
        for one in order["agents"]:
            self.fleet.add(
                Memory.from_json(one["memory"]),
                name=one["name"],
                script=SCRIPTS[order["script"]],
                manners=Manners(**order["manners"]),
                offer=tuple(order.get("offer", BOTH)),
                is_started=order["is_started"],
            )
        return {"agents": len(self.fleet.agents)}

    async def _online(self, order: Order) -> Answer:
        """Wait until all that run are welcome; how long that took, and when it was."""
        begun = time.monotonic()
        await self.fleet.all_online(order.get("patience_s", 60.0))
        now = time.monotonic()
        return {"seconds": now - begun, "at": now, "online": self.fleet.online}

    async def _offline(self, order: Order) -> Answer:
        """Wait until so few are welcome."""
        fleet, most = self.fleet, order.get("most", 0)
        await fleet.until(
            lambda: fleet.online <= most or None, "the links to end", order.get("patience_s", 60.0)
        )
        return {"at": time.monotonic()}

    async def _settled(self, order: Order) -> Answer:
        """Wait until so many jobs are over, and all that is to be told is acknowledged."""
        fleet, jobs = self.fleet, order["jobs"]

        def are_over() -> bool | None:
            over = 0
            for agent in fleet.agents:
                if agent.memory.notices:
                    return None
                over += sum(
                    deed.state in OVER or bool(deed.refused) for deed in agent.ledger.deeds.values()
                )
            return over >= jobs or None

        await fleet.until(are_over, f"{jobs} jobs to be over", order.get("patience_s", 60.0))
        return {"at": time.monotonic()}

    async def _counted(self, order: Order) -> Answer:
        """Wait until something was counted so often."""
        fleet, what, least = self.fleet, order["what"], order["least"]
        await fleet.until(
            lambda: fleet.counts[what] >= least or None,
            f"{least} {what}",
            order.get("patience_s", 60.0),
        )
        return {"at": time.monotonic()}

    async def _release(self, _: Order) -> Answer:
        at = time.monotonic()
        self.fleet.release()
        return {"at": at, "until": time.monotonic()}

    async def _cut(self, _: Order) -> Answer:
        at = time.monotonic()
        self.fleet.cut_all()
        return {"at": at}

    async def _kill(self, _: Order) -> Answer:
        for agent in self.fleet.agents:
            agent.kill()
        return {}

    async def _start(self, _: Order) -> Answer:
        for agent in self.fleet.agents:
            agent.start()
        return {}

    async def _script(self, order: Order) -> Answer:
        for agent in self.fleet.agents:
            agent.host.script = SCRIPTS[order["script"]]
        return {}

    async def _report(self, _: Order) -> Answer:
        fleet = self.fleet
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "agents": len(fleet.agents),
            "running": fleet.running,
            "online": fleet.online,
            "counts": dict(fleet.counts),
            "blames": fleet.blames,
            "complaints": fleet.complaints,
            "cpu_s": usage.ru_utime + usage.ru_stime,
        }

    async def _ledgers(self, _: Order) -> Answer:
        return {"ledgers": [ledger.to_json() for ledger in self.fleet.ledgers]}

    async def _accepted(self, _: Order) -> Answer:
        """When each job's ACCEPT was handed to the socket."""
        deeds = (deed for ledger in self.fleet.ledgers for deed in ledger.deeds.values())
        return {"at": {deed.job_id: deed.accepted_at for deed in deeds if deed.accepted_at}}

    async def _memories(self, _: Order) -> Answer:
        return {
            "agents": [
                {"name": agent.hostname, "memory": agent.memory.to_json()}
                for agent in self.fleet.agents
            ]
        }


async def serve(worker: CarriesOut) -> None:
    """Carry out orders until there are no more."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        answer = json.dumps(await worker.carry_out(json.loads(line)))
        # Whoever gave the order waits for the answer.
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
    await worker.end()


if __name__ == "__main__":
    run(serve(Worker()))
