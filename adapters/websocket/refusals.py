"""What a failed attempt to connect means: try again soon, or tell somebody. Pure.

No text here repeats what the peer, the proxy or the environment said: any of them may hold a secret,
and a header may be as long as it likes.
"""

from __future__ import annotations

import email.utils
import os
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHeader,
    InvalidMessage,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    NegotiationError,
    WebSocketException,
)

from domain.errors import TransportLost, TransportRefused

Failure = TransportLost | TransportRefused


class Stage(StrEnum):
    """What is being done, as it is called in `did not finish ... in time`."""

    CONNECTING = "connecting"
    PROXY = "connecting through the proxy"
    TLS = "the TLS handshake"
    HANDSHAKE = "the WebSocket handshake"


class UnusableProxy(Exception):
    """The environment names a proxy that cannot be used; `str()` says of which kind."""


_TRY_AGAIN: Final = frozenset({408, 425, 429})
_NOT_TOMORROW: Final = frozenset({501, 505})
"""The statuses of servers that did not fail, but cannot do what is asked."""
_CHECK_URL: Final = "check SERVER_URL: its path may be wrong, or what answers is no control plane"
_CHECK_PROXY: Final = (
    "check that the proxy lets this machine through to the control plane, or exempt the control "
    "plane in NO_PROXY"
)
_ADVICE: Final[Mapping[int, str]] = {
    401: "check AGENT_SECRET_TOKEN (or AGENT_TOKEN): the control plane does not accept this token",
    403: "check AGENT_SECRET_TOKEN (or AGENT_TOKEN) and whether this agent was revoked there",
    404: _CHECK_URL,
    407: "check the proxy's user and password in the environment's proxy settings",
    426: "the control plane asks for another version of the protocol: upgrade this agent",
}
_ADVICE_BY_KEY: Final[Mapping[int, str]] = {
    401: "the control plane does not know this host's key, or does not take AGENT_ENROLL_TOKEN, "
    "which is good once and for a short time; to enrol this host anew, remove identity.json from "
    "AGENT_STATE_DIR where it is there, and set a fresh AGENT_ENROLL_TOKEN",
    403: "this host was revoked there; to enrol it anew, remove identity.json from AGENT_STATE_DIR, "
    "and set a fresh AGENT_ENROLL_TOKEN",
}
"""In the place of the advice above where the agent proves who it is by a key."""
_KEYS_SUFFICE: Final = (
    "this host proves who it is by its key, and sends no token with the upgrade request: check that "
    "the control plane, or what stands before it, does not ask for one"
)
_MOVED: Final = "set SERVER_URL to where the control plane is now: redirects are not followed"
_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")


_END: Final[Mapping[int, str]] = {
    4400: "it says that the protocol was violated",
    4408: "it says that what it sends is not read",
    4409: "another connection of the same agent has replaced this one",
    4429: "it says that this was too much at once",
    4503: "it goes away",
}
_REFUSAL: Final[Mapping[int, tuple[str, int]]] = {
    4401: ("does not accept who this agent says it is", 401),
    4403: ("has revoked this agent", 403),
}
"""Close codes of v2 that refuse: what the peer does, and the HTTP status whose advice helps."""


def failure_of(
    error: Exception,
    where: str,
    *,
    stage: Stage,
    now: datetime,
    status: int | None = None,
    by_key: bool = False,
) -> Failure:
    """Sort a foreign error.

    `where` is the address without user, password and query. `status` is the HTTP status that an
    answer which never came to its end, or made no sense, at least began with. `by_key` says that no
    token was sent.
    """
    who = f"the proxy on the way to {where}" if stage is Stage.PROXY else where
    match error:
        case TimeoutError() | InvalidMessage() if _refuses(status):
            assert status is not None
            return _status_failure(status, where, None, by_key=by_key)
        case TimeoutError():
            return TransportLost(f"{where} did not finish {stage} in time")
        case InvalidStatus():
            response = error.response
            asked = next(iter(response.headers.get_all("Retry-After")), None)
            wait_s = retry_after_s(asked, now)
            return _status_failure(response.status_code, where, wait_s, by_key=by_key)
        case InvalidProxyStatus():
            return _proxy_status_failure(error.response.status_code, who)
        case InvalidProxyMessage() | InvalidMessage() if isinstance(error.__cause__, EOFError):
            return _cut(who, stage)
        case UnusableProxy():
            return TransportRefused(
                f"the environment names {error}",
                advice="name an HTTP proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or exempt the "
                "control plane in NO_PROXY",
            )
        case ssl.SSLError():
            return _tls_failure(error, who)
        case ConnectionClosed():
            return _cut(who, stage)
        case WebSocketException():
            return _no_websocket(error, who, stage)
        case UnicodeError():
            return TransportRefused(
                f"{where} is no address that can be looked up",
                advice="check the host in SERVER_URL",
            )
        case OSError():
            return _network_failure(error, who, stage)
        case _:
            return TransportLost(f"connecting to {where} failed: {type(error).__name__}")


def end_of_v1(code: int, where: str) -> Failure:
    """What it means that a peer of v1 has closed a link: whatever the code, it is lost."""
    return TransportLost(f"{where} closed the connection with code {code}")


def end_of_v2(code: int, where: str, *, by_key: bool = False) -> Failure:
    """What it means that a peer of v2 has closed a link."""
    if code in _REFUSAL:
        what, status = _REFUSAL[code]
        advice = (_ADVICE_BY_KEY if by_key else _ADVICE)[status]
        return TransportRefused(f"{where} {what} (close code {code})", advice=advice)
    end = end_of_v1(code, where)
    return TransportLost(f"{end}: {_END[code]}") if code in _END else end


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, section 10.2.3); None for nonsense."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _refuses(status: int | None) -> bool:
    return status is not None and status != HTTPStatus.SWITCHING_PROTOCOLS


def _is_passing(status: int) -> bool:
    is_server_error = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return status in _TRY_AGAIN or (is_server_error and status not in _NOT_TOMORROW)


def _status_failure(status: int, where: str, retry_after: float | None, *, by_key: bool) -> Failure:
    why = f"{where} answered HTTP {status}"
    if _is_passing(status):
        return TransportLost(why, retry_after_s=retry_after)
    is_redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    advice = _MOVED if is_redirect else _ADVICE.get(status, _CHECK_URL)
    if by_key and status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        advice = _KEYS_SUFFICE
    return TransportRefused(why, advice=advice, retry_after_s=retry_after)


def _proxy_status_failure(status: int, who: str) -> Failure:
    why = f"{who} answered HTTP {status}"
    if _is_passing(status):
        return TransportLost(why)
    is_login = status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
    return TransportRefused(why, advice=_ADVICE[status] if is_login else _CHECK_PROXY)


def _tls_failure(error: ssl.SSLError, who: str) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TransportRefused(
            f"the certificate of {who} is not trusted: {error.verify_message}",
            advice="check the host's name in SERVER_URL, this machine's clock, and AGENT_CA_FILE "
            "for a private authority",
        )
    reason = getattr(error, "reason", None)  # Only there where OpenSSL raised it.
    if reason in _NOT_TLS:
        return TransportRefused(
            f"{who} does not speak TLS", advice="check whether SERVER_URL should begin with ws://"
        )
    return TransportLost(f"TLS with {who} failed: {reason or type(error).__name__}")


def _no_websocket(error: WebSocketException, who: str, stage: Stage) -> Failure:
    if stage is Stage.PROXY:
        return TransportRefused(f"{who} does not speak HTTP", advice=_CHECK_PROXY)
    if isinstance(error, InvalidHeader):
        why = f"the header {error.name} of its answer is missing or wrong"
    elif isinstance(error, NegotiationError) and "subprotocol" in str(error):
        return TransportRefused(
            f"{who} selected a version of the protocol that was not offered", advice=_ADVICE[426]
        )
    elif isinstance(error, NegotiationError):
        why = "it agreed to what was not offered"
    else:
        why = "its answer is not HTTP/1.1"
    return TransportRefused(f"{who} does not speak WebSocket: {why}", advice=_CHECK_URL)


def _network_failure(error: OSError, who: str, stage: Stage) -> TransportLost:
    # asyncio puts words of its own around the number; several addresses have several.
    numbers = [error.errno] if error.errno else map(int, _ERRNO.findall(str(error)))
    reasons = " and ".join(dict.fromkeys(os.strerror(number) for number in numbers if number > 0))
    if isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError):
        return _cut(who, stage)
    return TransportLost(
        f"{who} cannot be reached: {reasons or error.strerror or type(error).__name__}"
    )


def _cut(who: str, stage: Stage) -> TransportLost:
    return TransportLost(f"{who} ended the connection in the middle of {stage}")
