"""Clients that know no protocol but WebSocket's: they say something every so often, and hear it again.

For what a bare server does with as many links, beside what a control plane does.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable
from typing import Final

from tests.fleet.dialing import Dialer
from tests.fleet.pace import Pace
from tests.fleet.upgrade import Caller, Target
from tests.fleet.wire import Link, LinkEnd

PAYLOAD: Final = '{"type":"HEARTBEAT","facts":{"load":0.1,"engine_reachable":true},"ack":0}'


class EchoClients:
    """So many; each says something every `each_s`, the first time at a random moment within it."""

    def __init__(
        self,
        url: str,
        *,
        each_s: float,
        pace: Pace | None = None,
        tls: ssl.SSLContext | None = None,
        dialing: int = 256,
        first_source: int = 1,
    ) -> None:
        self.each_s = each_s
        self.pace = pace or Pace()
        self.dialer = Dialer(Target.of(url), tls=tls, most=dialing, first_source=first_source)
        self.clients: list[EchoClient] = []
        self.online = 0
        self.is_stopping = False
        self.latencies_s: list[float] = []
        """From saying something to hearing it again, of all since this was emptied last."""
        self._changed = asyncio.Event()

    def add(self, count: int) -> None:
        """More of them."""
        for _ in range(count):
            client = EchoClient(self, f"echo-{len(self.clients)}")
            self.clients.append(client)
            self.dialer.dial(client)

    async def all_online(self, patience_s: float) -> None:
        """Wait until all are connected."""
        await self._until(lambda: self.online >= len(self.clients), patience_s)

    async def stop(self) -> None:
        """End all."""
        self.is_stopping = True
        await self.dialer.stop()
        for client in self.clients:
            client.stop()
        await self._until(lambda: self.online == 0, 60.0)

    def changed(self) -> None:
        """Somebody came or went."""
        self._changed.set()

    async def _until(self, condition: Callable[[], bool], patience_s: float) -> None:
        async with asyncio.timeout(patience_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class EchoClient:
    """One; the owner of its links."""

    __slots__ = ("_attempt", "_clients", "_link", "_name", "_said_at", "_timer")

    def __init__(self, clients: EchoClients, name: str) -> None:
        self._clients = clients
        self._name = name
        self._link: Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._attempt = 0
        self._said_at = 0.0

    def caller(self) -> Caller:
        return Caller(self._name, "a-token", offer=())

    def stop(self) -> None:
        self._end_timer()
        if self._link is not None:
            self._link.close(1000)

    def connected(self, link: Link) -> None:
        self._link = link

    def opened(self, subprotocol: str) -> None:
        clients = self._clients
        clients.online += 1
        self._attempt = 0
        self._later(random.uniform(0, clients.each_s), self._say)
        clients.changed()

    def heard(self, text: str) -> None:
        self._clients.latencies_s.append(time.monotonic() - self._said_at)

    def heard_all(self) -> None:
        pass

    def has_room(self) -> None:
        pass

    def ponged(self, payload: bytes) -> None:
        pass

    def ended(self, end: LinkEnd) -> None:
        clients = self._clients
        if end.code:
            clients.online -= 1
        self._link = None
        self._end_timer()
        if not clients.is_stopping:
            self._later(clients.pace.delay(self._attempt), self._dial)
            self._attempt += 1
        clients.changed()

    def _dial(self) -> None:
        self._timer = None
        self._clients.dialer.dial(self)

    def _say(self) -> None:
        if self._link is not None:
            self._said_at = time.monotonic()
            self._link.send(PAYLOAD)
            self._later(self._clients.each_s, self._say)

    def _later(self, delay_s: float, what: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, what)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
