"""What a failed attempt to connect means: try again soon, or tell somebody. Pure."""

from __future__ import annotations

import email.utils
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from websockets.exceptions import (
    InvalidMessage,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)

from domain.errors import TransportLost, TransportRefused

_TRY_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHECK_URL: Final = "check SERVER_URL: its path may be wrong, or what answers is no control plane"
_ADVICE: Final[Mapping[int, str]] = {
    401: "check AGENT_SECRET_TOKEN (or AGENT_TOKEN): the control plane does not accept this token",
    403: "check AGENT_SECRET_TOKEN (or AGENT_TOKEN) and whether this agent was revoked there",
    404: _CHECK_URL,
    407: "check the proxy's user and password in the environment's proxy settings",
    426: "the control plane asks for another version of the protocol: upgrade this agent",
}


def failure_of(
    error: Exception, where: str, *, stage: str, now: datetime
) -> TransportLost | TransportRefused:
    """Sort a foreign error. `where` is the address without user, password and query."""
    match error:
        case TimeoutError():
            return TransportLost(f"{where} did not finish {stage} in time")
        case InvalidStatus():
            return _status_failure(
                error.response.status_code,
                f"{where} answered HTTP {error.response.status_code}",
                retry_after_s(error.response.headers.get("Retry-After"), now),
            )
        case InvalidProxyStatus():
            status = error.response.status_code
            return _status_failure(
                status, f"the proxy on the way to {where} answered {status}", None
            )
        case InvalidProxy():
            return TransportRefused(
                "the environment names a proxy that is none",
                advice="check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY",
            )
        case ImportError():
            return TransportRefused(
                "the environment names a SOCKS proxy, which this agent does not speak",
                advice="use an HTTP proxy in HTTPS_PROXY or HTTP_PROXY, or exempt the control plane "
                "in NO_PROXY",
            )
        case ssl.SSLCertVerificationError():
            return TransportRefused(
                f"the certificate of {where} is not trusted: {error.verify_message}",
                advice="check the host's name in SERVER_URL, this machine's clock, and AGENT_CA_FILE "
                "for a private authority",
            )
        case ssl.SSLError():
            return TransportLost(f"TLS with {where} failed: {error.reason or error}")
        case InvalidMessage() | InvalidProxyMessage() | ProxyError():
            return TransportLost(f"{where} ended the connection in the middle of {stage}")
        case WebSocketException():
            return TransportRefused(f"{where} does not speak WebSocket: {error}", advice=_CHECK_URL)
        case OSError():
            return TransportLost(f"{where} cannot be reached: {error.strerror or error}")
        case _:
            return TransportLost(f"connecting to {where} failed: {type(error).__name__}")


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, section 10.2.3); None for nonsense."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _status_failure(
    status: int, why: str, retry_after: float | None
) -> TransportLost | TransportRefused:
    if status in _TRY_AGAIN:
        return TransportLost(why, retry_after_s=retry_after)
    return TransportRefused(why, advice=_ADVICE.get(status, _CHECK_URL), retry_after_s=retry_after)
