"""One connection through the chaos proxy: two pumps, which do to each message what is decided."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from tests.support import ports
from tests.support.chaos_plan import (
    DOWN,
    UP,
    Action,
    Cut,
    Delay,
    Direction,
    Duplicate,
    Freeze,
    How,
    Pass,
    Passing,
    Reorder,
    Slice,
    Swallow,
)
from tests.support.passing_frames import Unit, UnitReader

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Authority(Protocol):
    """Who decides, and says when something may pass."""

    def decide(self, message: Passing) -> Action: ...

    def count(self, what: str) -> None: ...

    def freeze(self, *directions: Direction) -> None: ...

    async def way(self, direction: Direction) -> None: ...


class _Ended(Exception):
    """The connection was cut."""


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset, which its other end gets instead of an end of file."""
    ports.reset(writer.transport)


class ProxiedConnection:
    """A connection of an agent's (`client`) and the one that was made for it."""

    def __init__(self, authority: Authority, number: int, client: Stream, upstream: Stream) -> None:
        self.number = number
        self.is_upgraded = asyncio.Event()
        self.is_open = True
        self.over = asyncio.Event()
        self._writers = (client[1], upstream[1])
        for writer in self._writers:
            # So that what is drained is with the kernel, and a reset takes nothing of it back.
            writer.transport.set_write_buffer_limits(high=0)
        self._pumps = (
            _Pump(self, authority, UP, client[0], upstream[1]),
            _Pump(self, authority, DOWN, upstream[0], client[1]),
        )

    async def run(self) -> None:
        """Forward until both directions have ended, or the connection is cut."""
        tasks = [asyncio.create_task(pump.run(), name=pump.name) for pump in self._pumps]
        try:
            await asyncio.gather(*tasks)
        except (ConnectionError, _Ended):
            # What one side sees of the other's reset is a reset.
            self.cut("rst")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.cut("fin")
            self.over.set()

    def cut(self, how: How) -> None:
        """End it on both sides; harmless where it has ended."""
        if not self.is_open:
            return
        self.is_open = False
        for writer in self._writers:
            if how == "rst":
                reset(writer)
            else:
                writer.close()


class _Pump:
    """One direction."""

    def __init__(
        self,
        connection: ProxiedConnection,
        authority: Authority,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.name = f"connection {connection.number}, {direction}"
        self._connection = connection
        self._authority = authority
        self._direction = direction
        self._reader = reader
        self._writer = writer
        self._units = UnitReader(reader)
        self._number = 0
        self._coming: asyncio.Task[Unit] | None = None

    async def run(self) -> None:
        """Forward until the end of the stream, and then forward that."""
        try:
            await self._handshake()
            while True:
                unit = await self._next(None)
                assert unit is not None
                if unit.is_control:
                    await self._write(unit.raw)
                else:
                    await self._pass(unit)
        except asyncio.IncompleteReadError:
            # A frame without its end goes no further: to the receiver that is the same.
            await self._authority.way(self._direction)
            with contextlib.suppress(OSError):
                self._writer.write_eof()
        finally:
            if self._coming is not None:
                self._coming.cancel()
                await asyncio.gather(self._coming, return_exceptions=True)

    async def _handshake(self) -> None:
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._write(head)
        if self._direction == DOWN:
            if b" 101 " not in head.split(b"\r\n")[0]:
                while rest := await self._reader.read(1 << 16):
                    await self._write(rest)
                raise asyncio.IncompleteReadError(b"", None)
            self._connection.is_upgraded.set()

    async def _next(self, wait_s: float | None) -> Unit | None:
        """The next one; None where it has not begun to come, or not come to its end, in that time."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._units.next(), name=f"{self.name}, reading")
        done, _ = await asyncio.wait({self._coming}, timeout=wait_s)
        if not done:
            return None
        coming, self._coming = self._coming, None
        return coming.result()

    async def _pass(self, unit: Unit) -> None:
        self._number += 1
        message = Passing(self._connection.number, self._direction, self._number, unit.payload)
        match self._authority.decide(message):
            case Pass():
                await self._write(unit.raw)
            case Delay(seconds):
                await asyncio.sleep(seconds)
                await self._write(unit.raw)
            case Duplicate(times):
                for _ in range(times):
                    await self._write(unit.raw)
            case Swallow():
                pass
            case Slice(size):
                for start in range(0, len(unit.raw), size):
                    await self._write(unit.raw[start : start + size])
                    await asyncio.sleep(0)
            case Freeze():
                self._authority.freeze(self._direction)
                await self._write(unit.raw)
            case Cut(where, how):
                sent = {"before": 0, "middle": len(unit.raw) // 2, "after": len(unit.raw)}[where]
                await self._write(unit.raw[:sent])
                self._connection.cut(how)
                raise _Ended
            case Reorder(wait_s):
                await self._reorder(unit, wait_s)

    async def _reorder(self, unit: Unit, wait_s: float) -> None:
        try:
            following = await self._next(wait_s)
            while following is not None and following.is_control:
                await self._write(following.raw)
                following = await self._next(wait_s)
        except asyncio.IncompleteReadError:
            await self._write(unit.raw)
            raise
        if following is not None:
            self._number += 1
            self._authority.count("reorder")
            await self._write(following.raw)
        await self._write(unit.raw)

    async def _write(self, data: bytes) -> None:
        await self._authority.way(self._direction)
        if not self._connection.is_open:
            raise _Ended
        self._writer.write(data)
        await self._writer.drain()
