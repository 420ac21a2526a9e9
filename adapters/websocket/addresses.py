"""A TCP connection to whichever address of a host answers first (RFC 8305, "happy eyeballs").

asyncio has this too, but forgets the socket of an attempt that is cancelled at the wrong moment, and
attempts are cancelled: by their deadline, and when the agent stops.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

NEXT_ADDRESS_AFTER_S: Final = 0.25
"""RFC 8305, section 5: how long one address may stay silent before the next is tried beside it."""

UNACKNOWLEDGED_S: Final = 15.0
"""A machine that acknowledges nothing of what was sent for so long is not reached. TCP itself would
then wait as long again before it tries again; dialling anew finds the way back sooner. Linux counts
one that leaves no room to send to, too (tcp(7), TCP_USER_TIMEOUT): the next link resumes."""

AddressInfo = tuple[int, int, int, str, Any]
"""What `getaddrinfo` tells of one address: family, type, protocol, canonical name, address."""


async def connect_to(host: str, port: int) -> socket.socket:
    """A connected socket; raises `OSError` that holds the reason of each address."""
    waiting = deque(_interleaved(await _look_up(host, port)))
    attempts: dict[asyncio.Task[None], socket.socket] = {}
    failures: list[OSError] = []
    try:
        while waiting or attempts:
            if waiting:
                _begin(waiting.popleft(), attempts, failures)
            if not attempts:
                continue
            done, _ = await asyncio.wait(
                attempts,
                timeout=NEXT_ADDRESS_AFTER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                failure = attempt.exception()
                if failure is None:
                    return attempts.pop(attempt)
                attempts.pop(attempt).close()
                if not isinstance(failure, OSError):
                    raise failure
                failures.append(failure)
        raise _all_of(failures)
    finally:
        for attempt, unused in attempts.items():
            # The socket is closed when the loop watches it no longer.
            attempt.add_done_callback(functools.partial(_close, unused))
            attempt.cancel()


async def _look_up(host: str, port: int) -> Iterable[AddressInfo]:
    try:
        # What is an address already needs no name server, and no thread to wait for one.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _begin(
    info: AddressInfo, attempts: dict[asyncio.Task[None], socket.socket], failures: list[OSError]
) -> None:
    family, kind, protocol, _, address = info
    try:
        link = socket.socket(family, kind, protocol)
    except OSError as exc:  # A family that this machine does not have.
        failures.append(exc)
        return
    link.settimeout(0)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNACKNOWLEDGED_S * 1000))
    loop = asyncio.get_running_loop()
    attempts[loop.create_task(loop.sock_connect(link, address), name="connect")] = link


def _close(link: socket.socket, attempt: asyncio.Task[None]) -> None:
    if not attempt.cancelled():
        attempt.exception()  # Looked at, so that it is not reported as forgotten.
    link.close()


def _interleaved(found: Iterable[AddressInfo]) -> list[AddressInfo]:
    """The families in turn, each in the resolver's order (RFC 8305, section 4)."""
    families: dict[int, list[AddressInfo]] = {}
    for info in found:
        families.setdefault(info[0], []).append(info)
    rounds = itertools.zip_longest(*families.values())
    return [info for one_of_each in rounds for info in one_of_each if info is not None]


def _all_of(failures: list[OSError]) -> OSError:
    if len(failures) == 1:
        return failures[0]
    return OSError(", ".join(map(str, failures)) or "the name has no address")
