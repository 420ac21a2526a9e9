"""How foreign errors become ours: worth another attempt, or a person's attention."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosedError,
    InvalidMessage,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidUpgrade,
    ProxyError,
)
from websockets.http11 import Response

from adapters.websocket.client import public_address
from adapters.websocket.refusals import Stage, UnusableProxy, failure_of, retry_after_s
from domain.errors import TransportLost, TransportRefused

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
WHERE = "wss://cp.example/ws"


def _failure(
    error: Exception, *, stage: Stage = Stage.HANDSHAKE, status: int | None = None
) -> TransportLost | TransportRefused:
    return failure_of(error, WHERE, stage=stage, now=NOW, status=status)


def _answer(status: int, **headers: str) -> Response:
    return Response(status, "", Headers({k.replace("_", "-"): v for k, v in headers.items()}))


def _caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("stage", list(Stage))
def test_a_stage_that_took_too_long_is_named(stage: Stage) -> None:
    failure = _failure(TimeoutError(), stage=stage)

    assert isinstance(failure, TransportLost)
    assert str(failure) == f"{WHERE} did not finish {stage} in time"


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_is_sorted(status: int) -> None:
    failure = _failure(InvalidStatus(_answer(status)))

    is_passing = status in {408, 425, 429} or (status >= 500 and status not in {501, 505})
    assert isinstance(failure, TransportLost) == is_passing
    assert str(failure) == f"{WHERE} answered HTTP {status}"


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), InvalidMessage("nonsense"), _caused_by(InvalidMessage("cut"), EOFError())],
)
def test_a_status_that_could_be_read_says_more_than_how_the_answer_ended(error: Exception) -> None:
    assert str(_failure(error, status=401)) == f"{WHERE} answered HTTP 401"
    assert "HTTP 101" not in str(_failure(error, status=101))


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            ConnectionRefusedError(111, "Connect call failed"),
            "cannot be reached: Connection refused",
        ),
        (OSError(101, "Connect call failed"), "cannot be reached: Network is unreachable"),
        (OSError(113, "Connect call failed"), "cannot be reached: No route to host"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect ..., [Errno 101] Connect ..."),
            "cannot be reached: Connection refused and Network is unreachable",
        ),
        (socket.gaierror(-3, "Temporary failure in name resolution"), "Temporary failure in name"),
        (OSError(), "cannot be reached: OSError"),
        (ConnectionResetError(), "ended the connection in the middle of the WebSocket handshake"),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            "ended the connection in the middle",
        ),
        (ConnectionClosedError(None, None), "ended the connection in the middle"),
        (_caused_by(InvalidMessage("cut"), EOFError()), "ended the connection in the middle"),
        (
            ssl.SSLError(1, "[SSL: TLSV1_ALERT_INTERNAL_ERROR]"),
            "TLS with wss://cp.example/ws failed",
        ),
        (RuntimeError("what nobody thought of"), "failed: RuntimeError"),
    ],
)
def test_what_networks_do_is_tried_again(error: Exception, why: str) -> None:
    failure = _failure(error)

    assert isinstance(failure, TransportLost)
    assert why in str(failure)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (InvalidMessage("nonsense"), "does not speak WebSocket: its answer is not HTTP/1.1"),
        (InvalidUpgrade("Upgrade", "h2c"), "the header Upgrade of its answer is missing or wrong"),
        (UnusableProxy("a SOCKS proxy"), "the environment names a SOCKS proxy"),
        (UnicodeError("label too long"), "is no address that can be looked up"),
    ],
)
def test_what_only_a_person_can_change_is_refused(error: Exception, why: str) -> None:
    failure = _failure(error)

    assert isinstance(failure, TransportRefused)
    assert why in str(failure)
    assert failure.advice


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connect call failed"),
        ConnectionResetError(),
        _caused_by(InvalidProxyMessage("cut"), EOFError()),
        InvalidProxyMessage("nonsense"),
        InvalidProxyStatus(_answer(403)),
        InvalidProxyStatus(_answer(502)),
        ProxyError("of some other kind"),
    ],
)
def test_a_proxys_failure_is_not_blamed_on_the_control_plane(error: Exception) -> None:
    failure = _failure(error, stage=Stage.PROXY)

    assert str(failure).startswith(f"the proxy on the way to {WHERE} ")
    assert "AGENT_SECRET_TOKEN" not in getattr(failure, "advice", "")


def test_a_proxy_that_wants_a_login_is_told_apart() -> None:
    failure = _failure(InvalidProxyStatus(_answer(407)), stage=Stage.PROXY)

    assert isinstance(failure, TransportRefused)
    assert "the proxy's user and password" in failure.advice


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("Sat, 31 Jan 2026 12:01:30 GMT", 90.0),
        ("Saturday, 31-Jan-26 12:01:30 GMT", 90.0),
        ("Sat Jan 31 12:01:30 2026", 90.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0.0),
        ("9" * 400, float("inf")),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("\u0661\u0662", None),
        ("Sat, 31 Jan 99999999999 12:00:00 GMT", None),
        ("Sat, 99 Jan 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_in_all_its_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


@given(st.text())
def test_no_retry_after_breaks_the_agent(value: str) -> None:
    seconds = retry_after_s(value, NOW)

    assert seconds is None or seconds >= 0


@given(
    st.datetimes(
        min_value=NOW.replace(tzinfo=None),
        max_value=datetime(9000, 1, 1),  # noqa: DTZ001 - given UTC
    )
)
def test_a_date_to_come_is_as_far_away_as_it_says(date: datetime) -> None:
    date = date.replace(microsecond=0, tzinfo=UTC)
    text = f"{date:%a, %d %b} {date.year:04} {date:%H:%M:%S} GMT"

    assert retry_after_s(text, NOW) == (date - NOW) / timedelta(seconds=1)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://cp.example/ws", "wss://cp.example/ws"),
        ("wss://cp.example", "wss://cp.example"),
        ("ws://cp.example:8080/a/b?token=secret", "ws://cp.example:8080/a/b"),
        ("wss://user:secret@cp.example/ws#secret", "wss://cp.example/ws"),
        ("ws://[::1]:8080/ws", "ws://[::1]:8080/ws"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert public_address(url) == shown
