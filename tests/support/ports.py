"""Loopback ports that stay a test's own while nothing listens on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator


def bound(port: int = 0) -> socket.socket:
    """A socket bound to a port of loopback, which does not listen yet; 0 lets the kernel choose."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", port))
    one.setblocking(False)
    return one


def port_of(one: socket.socket) -> int:
    port = one.getsockname()[1]
    assert isinstance(port, int)
    return port


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port that can be listened on with `bound(port)`, again and again.

    Meanwhile it is closed: dialling it is refused. The kernel gives it to nobody else, neither to
    another test nor to a client, which could otherwise come to be connected to itself.
    """
    with bound() as reservation:
        yield port_of(reservation)


def reset(transport: asyncio.Transport | asyncio.WriteTransport) -> None:
    """Close a connection with a reset, which its other end gets instead of an end of file."""
    link = transport.get_extra_info("socket")  # None once it is closed, for some transports.
    if link is not None:
        with contextlib.suppress(OSError):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
