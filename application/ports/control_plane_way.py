"""The way from this machine to its control plane, looked at stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

WEBSOCKET: Final = "WebSocket"


@dataclass(frozen=True, slots=True)
class Way:
    """Where it leads. `address` has no query, and `proxy` no password; it is empty where there is none."""

    address: str
    host: str
    port: int
    is_encrypted: bool
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's, that was trusted. `expires_at` is seconds since 1970."""

    subject: str
    issuer: str
    expires_at: float
    tls: str


@dataclass(frozen=True, slots=True)
class Answer:
    """How an upgrade request without a token was answered. `date` is the server's clock, if it said it."""

    status: int
    date: float | None = None


@dataclass(frozen=True, slots=True)
class IdleEnd:
    """What became of a connection on which nothing was said.

    `kind` is `WebSocket`, `TLS` or `TCP`; the last two may be ended by a control plane that waits no
    longer for a request, which cannot be told from what is on the way. `close_code` is there where a
    WebSocket was ended properly, by the control plane itself.
    """

    seconds: float
    is_open: bool
    kind: str
    close_code: int | None = None


class ControlPlaneWay(Protocol):
    """Each method goes the whole way anew, and closes what it has opened. No token is ever sent.

    They raise `TransportLost`, or `TransportRefused` where somebody has to change something; neither
    text holds a secret. They may take for ever: whoever calls them has the deadlines. Cancelled, they
    leave no connection.
    """

    def way(self) -> Way:
        """Where it leads, without going there. Raises `TransportRefused` for a useless proxy."""
        ...

    async def resolve(self) -> Sequence[str]:
        """The addresses of what is dialled: the proxy, where there is one."""
        ...

    async def connect(self) -> None:
        """Come as far as a TCP connection to the control plane, through the proxy."""
        ...

    async def secure(self) -> Certificate:
        """Come as far as a connection over TLS that is trusted as the agent trusts."""
        ...

    async def ask(self) -> Answer:
        """Ask for a WebSocket, and say how that was answered."""
        ...

    async def date(self) -> float | None:
        """What the clock of the other side says, whoever that is: certificates are not looked at."""
        ...

    async def idle(self, seconds: float) -> IdleEnd:
        """Say nothing for so long: on a WebSocket, or where none is to be had, before asking for one."""
        ...
