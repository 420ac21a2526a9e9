"""`python -m tests.fleet.echo_worker`: echo clients in a process of their own; see `worker`."""

from __future__ import annotations

import ssl
import time

from tests.fleet.echo import EchoClients
from tests.fleet.loops import run
from tests.fleet.orders import Order
from tests.fleet.pace import Pace
from tests.fleet.worker import Answer, serve


class EchoWorker:
    """`open` takes what a fleet's does, and `each_s`; `add` takes a `count`."""

    def __init__(self) -> None:
        self._clients: EchoClients | None = None

    async def carry_out(self, order: Order) -> Answer:
        """Do one thing, and say what came of it."""
        try:
            return {"ok": True, **await self._carry_out(order)}
        except (AssertionError, LookupError, TimeoutError, OSError) as failure:
            return {"ok": False, "error": f"{order.get('do')}: {type(failure).__name__}: {failure}"}

    async def end(self) -> None:
        """End all clients."""
        if self._clients is not None:
            await self._clients.stop()

    async def _carry_out(self, order: Order) -> Answer:
        if order["do"] == "open":
            tls = (
                ssl.create_default_context(cafile=order["ca_file"]) if "ca_file" in order else None
            )
            self._clients = EchoClients(
                order["url"],
                each_s=order["each_s"],
                pace=Pace(**order.get("pace", {})),
                tls=tls,
                dialing=order.get("dialing", 256),
                first_source=order.get("first_source", 1),
            )
            return {}
        clients = self._clients
        assert clients is not None, "the first order is `open`"
        match order["do"]:
            case "add":
                clients.add(order["count"])
                return {}
            case "online":
                await clients.all_online(order.get("patience_s", 60.0))
                return {"online": clients.online, "at": time.monotonic()}
            case "latencies":
                latencies, clients.latencies_s = clients.latencies_s, []
                return {"seconds": latencies}
            case unknown:
                raise LookupError(unknown)


if __name__ == "__main__":
    run(serve(EchoWorker()))
