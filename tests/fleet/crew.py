"""Fleets in processes of their own, so that they take no time from what they are to show."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final, Self

from tests.fleet.ledger import Ledger
from tests.fleet.orders import Order, open_order
from tests.fleet.worker import MAX_LINE_BYTES

FLEET: Final = "tests.fleet.worker"
ECHO: Final = "tests.fleet.echo_worker"
END_S: Final = 60.0
PATIENCE_S: Final = 600.0


class FleetFailed(Exception):
    """An order was not carried out."""


class FleetProcess:
    """One such process, from entering the context to leaving it; `options` are those of `open_order`.

    With `module` ECHO its agents are clients that know no protocol but WebSocket's.
    """

    def __init__(self, url: str, *, module: str = FLEET, **options: Any) -> None:
        self._module = module
        self._order = open_order(url, **options)
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
        )
        await self.carry_out(self._order)
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """End it as a power failure does."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Have something done, and return what came of it; raises `FleetFailed`."""
        return await self.carry_out({"do": do, **fields})

    async def carry_out(self, order: Order) -> dict[str, Any]:
        """The same, of an order."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        async with self._turn, asyncio.timeout(PATIENCE_S):
            process.stdin.write(json.dumps(order).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        if not line:
            raise FleetFailed(f"{order['do']}: the fleet's process has ended")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise FleetFailed(answer["error"])
        return answer

    async def ledgers(self) -> list[Ledger]:
        """Of all its hosts."""
        answer = await self.ask("ledgers")
        return [Ledger.from_json(one) for one in answer["ledgers"]]
