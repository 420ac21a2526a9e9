"""A connection that notices every sign of life, and how the answer to its upgrade request begins."""

from __future__ import annotations

import contextlib
import fcntl
import re
import socket
import struct
import termios
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r\n]")
_STATUS_LINE_BYTES: Final = 16
_TCP_INFO_BYTES: Final = 128
_BYTES_ACKED_AT: Final = 120
"""Where Linux's `struct tcp_info` keeps `tcpi_bytes_acked`, an unsigned integer of 64 bits."""

_RESET: Final = struct.pack("ii", 1, 0)
"""Linger, for no time at all."""


class HearingConnection(ClientConnection):
    """Remembers when the peer last gave a sign of life."""

    def __init__(self, protocol: ClientProtocol, **kwargs: Any) -> None:
        super().__init__(protocol, **kwargs)
        self.heard_at = self.loop.time()
        self.silent_for_s: float | None = None
        """Set by whoever gives the connection up for its silence."""
        self._answer = b""
        self._taken = 0

    def data_received(self, data: bytes) -> None:
        """Whatever comes is a sign of life: a pong may have to wait behind megabytes."""
        self.heard_at = self.loop.time()
        if len(self._answer) < _STATUS_LINE_BYTES:
            self._answer += data[:_STATUS_LINE_BYTES]
        super().data_received(data)

    def look_for_progress(self, *, backlog: int = 1) -> None:
        """Count it as a sign of life when a backlog of ours, of so many bytes, is being taken.

        A ping stands behind everything that was sent before it, which may take minutes on a narrow
        line. Where nothing is outstanding this proves nothing: the kernel of a machine acknowledges
        what its hung control plane will never read.
        """
        outstanding, taken = _outstanding_and_taken(self.transport.get_extra_info("socket"))
        if outstanding >= backlog and taken > self._taken:
            self.heard_at = self.loop.time()
        self._taken = taken

    def cut(self) -> None:
        """End it now, with a reset.

        A goodbye, and an ordinary end too, wait behind what the peer's machine has yet to acknowledge;
        where only one direction is dead, that would leave the peer to find out by itself.
        """
        link = self.transport.get_extra_info("socket")
        if link is not None:  # With TLS, there is none once it is closed.
            with contextlib.suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    @property
    def answered_status(self) -> int | None:
        """The HTTP status that the answer began with, also of one that never came to its end."""
        found = _STATUS_LINE.match(self._answer)
        return int(found[1]) if found else None


def _outstanding_and_taken(link: socket.socket | None) -> tuple[int, int]:
    """How many bytes the peer's machine has yet to acknowledge, and how many it ever has."""
    if link is None:  # TLS has let go of it already.
        return 0, 0
    try:
        queued = fcntl.ioctl(link.fileno(), termios.TIOCOUTQ, bytes(4))
        info = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        outstanding, taken = (
            struct.unpack("i", queued),
            struct.unpack_from("Q", info, _BYTES_ACKED_AT),
        )
    except (OSError, ValueError, struct.error):  # Closed meanwhile, or a kernel that does not tell.
        return 0, 0
    return outstanding[0], taken[0]
