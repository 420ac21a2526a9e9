"""A network that can be told what to do: a proxy between an agent and a control plane.

It knows WebSocket's frames, so that it acts on whole messages: by rules (`on`), by a seeded plan, or
at a word (`cut`, `freeze`, `outage`). Control frames and the handshake pass as they are.

    async with ChaosProxy(peer.port) as proxy:
        rule = proxy.on(UP, of_type("ACCEPT"), Cut("after"))
        ...  # The agent dials proxy.url.
        await rule.fired()
        assert proxy.injected["cut"] == 1
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Final, Self

from tests.support.chaos_plan import (
    Action,
    ChaosPlan,
    Direction,
    Freeze,
    How,
    Pass,
    Passing,
    Predicate,
    Reorder,
    name_of,
)
from tests.support.ports import bound, reserved_port
from tests.support.proxied_connection import ProxiedConnection, Stream, reset

PATIENCE_S: Final = 60.0


class Outage(Enum):
    """What a dial comes to while there is no way through."""

    REFUSED = "the port is closed"
    BLACK_HOLE = "the connection is made, and nothing is ever said on it"
    RESET = "the connection is made, and reset in the middle of the handshake"


class Rule:
    """What is done to messages of one direction for which `predicate` is true, `times` times."""

    def __init__(
        self, direction: Direction, predicate: Predicate, action: Action, times: int | None
    ) -> None:
        self.direction = direction
        self.predicate = predicate
        self.action = action
        self.count = 0
        """How often it was followed."""
        self._times = times
        self._followed = asyncio.Event()

    def take(self, message: Passing) -> bool:
        """Whether it is for this message; counts."""
        is_spent = self._times is not None and self.count >= self._times
        if is_spent or message.direction != self.direction or not self.predicate(message):
            return False
        self.count += 1
        self._followed.set()
        return True

    async def fired(self) -> None:
        """Wait until it was followed for the first time."""
        async with asyncio.timeout(PATIENCE_S):
            await self._followed.wait()


class ChaosProxy:
    """Listens on a port of its own, which stays its own during an outage.

    `injected` counts what was done, by the action's name. `connections` are all that ever were.
    """

    def __init__(self, upstream_port: int, plan: ChaosPlan | None = None) -> None:
        self.upstream_port = upstream_port
        """Where the control plane listens; may be changed for further connections."""
        self.plan = plan
        self.injected: Counter[str] = Counter()
        self.connections: list[ProxiedConnection] = []
        self.port = 0
        self._rules: list[Rule] = []
        self._way: dict[str, asyncio.Event] = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._outage: Outage | None = None
        self._server: asyncio.Server | None = None
        self._exits = contextlib.ExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._dead_ends: list[Stream] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        for way in self._way.values():
            way.set()
        self.port = self._exits.enter_context(reserved_port())
        await self._listen()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._stop_listening()
        for connection in self.connections:
            connection.cut("rst")
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, writer in self._dead_ends:
            writer.transport.abort()
        self._exits.close()
        await asyncio.sleep(0)  # The transports close their sockets now.
        for one in ended:
            if isinstance(one, Exception):
                raise one

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def on(
        self, direction: Direction, predicate: Predicate, action: Action, *, times: int | None = 1
    ) -> Rule:
        """Follow a rule from now on; the first that fits a message is followed, before any plan."""
        rule = Rule(direction, predicate, action, times)
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Follow no rules and no plan any more."""
        self._rules.clear()
        self.plan = None

    def cut(self, how: How = "rst") -> None:
        """End all connections there are, now, even in the middle of a message."""
        for connection in self.connections:
            if connection.is_open:
                self.count("cut")
                connection.cut(how)

    def freeze(self, *directions: Direction) -> None:
        """Forward nothing more in these directions, of present and further connections."""
        for direction in directions:
            if self._way[direction].is_set():
                self.count("freeze")
                self._way[direction].clear()

    def thaw(self) -> None:
        """Forward what was frozen, and go on."""
        for way in self._way.values():
            way.set()

    async def outage(self, kind: Outage) -> None:
        """Let no further connection through; those there are stay, until they are `cut`."""
        self._outage = kind
        if kind is Outage.REFUSED:
            self._stop_listening()
        elif self._server is None:
            await self._listen()

    async def restore(self) -> None:
        """Let connections through again."""
        self._outage = None
        if self._server is None:
            await self._listen()

    async def connected(self, number: int) -> ProxiedConnection:
        """The connection of that number, from 1, once it speaks WebSocket."""
        await self._until(lambda: len(self.connections) >= number)
        connection = self.connections[number - 1]
        async with asyncio.timeout(PATIENCE_S):
            await connection.is_upgraded.wait()
        return connection

    async def has_injected(self, what: str, *, times: int = 1) -> None:
        """Wait until something was done so often in all."""
        await self._until(lambda: self.injected[what] >= times)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    # For its connections.

    def decide(self, message: Passing) -> Action:
        """What is to be done to a message."""
        for rule in self._rules:
            if rule.take(message):
                return self._counted(rule.action)
        return self._counted(self.plan.decide(message)) if self.plan is not None else Pass()

    def count(self, what: str) -> None:
        """Something was done."""
        self.injected[what] += 1
        self._changed.set()

    def _counted(self, action: Action) -> Action:
        if isinstance(action, Freeze | Reorder | Pass):
            return (
                action  # Counted when it is done: nothing may follow, or it may be frozen already.
            )
        self.count(name_of(action))
        return action

    async def way(self, direction: Direction) -> None:
        """Wait until something may pass."""
        await self._way[direction].wait()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=bound(self.port))

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="a proxied connection")
        self._tasks.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._outage is not None:
            self._dead_ends.append((reader, writer))
            self.count(self._outage.name.lower())
            if self._outage is Outage.RESET:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    await reader.readuntil(b"\r\n")
                reset(writer)
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:
            reset(writer)
            return
        connection = ProxiedConnection(self, len(self.connections) + 1, (reader, writer), upstream)
        self.connections.append(connection)
        self._changed.set()
        await connection.run()
