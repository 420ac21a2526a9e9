"""Why a link ends, or does not come to be, in the numbers of HTTP and WebSocket; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from websockets.frames import CloseCode
from websockets.server import ServerProtocol

from adapters.websocket.hub_upgrade import Refused
from application.ports.agent_link import TurnedAway
from domain.fleet.host_effects import LinkEnd

LONGEST_REASON: Final = 123
"""Bytes that a close frame has for its reason (RFC 6455, section 5.5)."""

_OF_V2: Final[Mapping[LinkEnd, int]] = {
    LinkEnd.LEFT: CloseCode.NORMAL_CLOSURE,
    LinkEnd.VIOLATION: 4400,
    LinkEnd.UNPROVEN: 4401,
    LinkEnd.REVOKED: 4403,
    LinkEnd.TOO_SLOW: 4408,
    LinkEnd.REPLACED: 4409,
    LinkEnd.TOO_MUCH: 4429,
    LinkEnd.GOING_AWAY: 4503,
    LinkEnd.BROKEN: CloseCode.INTERNAL_ERROR,
}
_OF_V1: Final[Mapping[LinkEnd, int]] = {
    LinkEnd.VIOLATION: CloseCode.PROTOCOL_ERROR,
    LinkEnd.UNPROVEN: CloseCode.POLICY_VIOLATION,
    LinkEnd.REVOKED: CloseCode.POLICY_VIOLATION,
    LinkEnd.TOO_SLOW: CloseCode.POLICY_VIOLATION,
    LinkEnd.REPLACED: CloseCode.POLICY_VIOLATION,
    LinkEnd.TOO_MUCH: CloseCode.POLICY_VIOLATION,
    LinkEnd.GOING_AWAY: CloseCode.GOING_AWAY,
    LinkEnd.BROKEN: CloseCode.INTERNAL_ERROR,
}
_REFUSALS: Final[Mapping[LinkEnd, tuple[HTTPStatus, str]]] = {
    LinkEnd.UNPROVEN: (HTTPStatus.UNAUTHORIZED, "A bearer token is needed that is good.\n"),
    LinkEnd.REVOKED: (HTTPStatus.FORBIDDEN, "This host is revoked.\n"),
    LinkEnd.TOO_MUCH: (HTTPStatus.TOO_MANY_REQUESTS, "Too much at once; come again later.\n"),
}
_BUSY: Final = (HTTPStatus.SERVICE_UNAVAILABLE, "Not now; come again.\n")


def close_code(end: LinkEnd, protocol: int) -> int | None:
    """The code to close with; None where there is nobody to say it to."""
    codes = _OF_V1 if protocol == 1 else _OF_V2
    return codes.get(end)


def refused(turned: TurnedAway) -> Refused:
    """How the upgrade is answered of whoever is turned away."""
    status, text = _REFUSALS.get(turned.end, _BUSY)
    headers: dict[str, str] = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if turned.retry_after_s:
        headers["Retry-After"] = str(math.ceil(turned.retry_after_s))
    return Refused(status, text, headers)


def how_it_ended(connection: ServerProtocol) -> str:
    """For the log; nothing of it is the agent's own words."""
    if connection.close_rcvd is not None and connection.close_rcvd_then_sent is not False:
        return f"the agent has closed it with code {connection.close_rcvd.code}"
    if connection.close_sent is not None:
        code, reason = connection.close_sent.code, connection.close_sent.reason
        return f"it was closed with code {code}: {reason}"
    return "the connection was cut"


def fitting(reason: str) -> str:
    """A reason for a close frame, cut where it is too long, and within no character."""
    return reason.encode("utf-8", "replace")[:LONGEST_REASON].decode("utf-8", "ignore")
