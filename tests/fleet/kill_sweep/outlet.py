"""Within the control plane that is to be killed: makes a point of what is sent.

A loop writes what was said a moment later, all at once. Here each piece is in the kernel's hands
before anything else happens: so what a process has sent that dies then is certain.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.fleet import framing
from tests.fleet.framing import FrameReader
from tests.fleet.kill_sweep.points import Points
from tests.fleet.plane_frames import COMMANDS

COMMAND: Final = "COMMAND"
PONG: Final = "PONG"
ACCEPTED: Final = "202"

_NAMED: Final = frozenset({"CHALLENGE", "WELCOME", "CANCEL", "ACK", "NACK", "ERROR", "BYE"})


class Outlet:
    """A transport in all but this: what is written to it is named, and written at once."""

    def __init__(self, transport: Any, points: Points) -> None:
        self._transport = transport
        self._points = points
        self._head = b""
        self._frames: FrameReader | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """See `asyncio.Transport`."""
        if self._frames is None:
            if data.startswith(b"HTTP/1.1 202"):
                # Its content comes apart from it, and nobody is answered before.
                self._head = data
                return
            if data.startswith(b"HTTP/1.1 101"):
                self._frames = FrameReader()
                self._write(data)
                return
            names = [ACCEPTED] if self._head else []
            data, self._head = self._head + data, b""
        else:
            names = _names_of(self._frames, data)
        deaths = self._points.before(names) if names else []
        self._write(data)
        self._points.after(deaths)

    def _write(self, data: bytes) -> None:
        sent = 0
        if not self._transport.get_write_buffer_size() and not self._transport.is_closing():
            try:
                sent = os.write(self._transport.get_extra_info("socket").fileno(), data)
            except OSError:
                sent = 0  # It is full, or broken: the transport will see.
        if sent < len(data):
            self._transport.write(data[sent:])


def install(points: Points) -> None:
    """From now on, each connection of this process gets an outlet."""
    made = HttpToolsProtocol.connection_made

    def connection_made(protocol: HttpToolsProtocol, transport: Any) -> None:
        made(protocol, Outlet(transport, points))  # type: ignore[arg-type]

    HttpToolsProtocol.connection_made = connection_made  # type: ignore[assignment,method-assign]


def _names_of(frames: FrameReader, data: bytes) -> list[str]:
    """The messages in what is sent; a loop of ours sends whole frames."""
    names = []
    for opcode, payload in frames.feed(data):
        if opcode == framing.PONG:
            names.append(PONG)
        elif opcode == framing.TEXT:
            kind = json.loads(payload)["type"]
            if kind in COMMANDS:
                names.append(COMMAND)
            elif kind in _NAMED:
                names.append(kind)
    return list(dict.fromkeys(names))
