"""The kernel's own word that the network has changed (rtnetlink(7))."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

_NETLINK_ROUTE: Final = 0
_LINK, _IPV4_ADDRESS, _IPV4_ROUTE, _IPV6_ADDRESS, _IPV6_ROUTE = 0x1, 0x10, 0x40, 0x100, 0x400
_GROUPS: Final = _LINK | _IPV4_ADDRESS | _IPV4_ROUTE | _IPV6_ADDRESS | _IPV6_ROUTE
_MESSAGE_BYTES: Final = 65536


class NetlinkChanges:
    """Listens for as long as somebody waits; what changes is not looked at."""

    async def changed(self) -> None:
        """See `NetworkChanges`."""
        try:
            link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE)
        except OSError:  # Forbidden to this process, or a kernel without it.
            await asyncio.get_running_loop().create_future()
            return
        with contextlib.closing(link):
            link.settimeout(0)
            link.bind((0, _GROUPS))
            # More than fits its buffer is a change too, and an error says so.
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().sock_recv(link, _MESSAGE_BYTES)
