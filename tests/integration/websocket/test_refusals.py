"""How a server, or what stands in its place, can say no; and what the agent makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from domain.errors import TransportLost, TransportRefused
from tests.integration.websocket.peers import (
    QUERY,
    TOKEN,
    RawPeer,
    answers,
    http,
    raw_server,
    refusal_of,
    soon,
    transport_to,
    upgrades,
)

REFLECTED = f"X-Reflected: {TOKEN}"


async def _refusal_by(*answer: bytes) -> TransportLost | TransportRefused:
    async with raw_server(answers(*answer)) as server:
        failure = await refusal_of(transport_to(server.url(f"/ws?key={QUERY}")))
        assert str(failure).startswith(server.url())
        return failure


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("400 Bad Request", "check SERVER_URL"),
        ("401 Unauthorized", "check AGENT_SECRET_TOKEN"),
        ("403 Forbidden", "whether this agent was revoked"),
        ("404 Not Found", "check SERVER_URL"),
        ("407 Proxy Authentication Required", "check the proxy's user and password"),
        ("426 Upgrade Required", "upgrade this agent"),
        ("501 Not Implemented", "check SERVER_URL"),
        ("200 OK", "what answers is no control plane"),
        ("204 No Content", "what answers is no control plane"),
    ],
)
async def test_what_a_person_has_to_change_is_refused_with_advice(status: str, advice: str) -> None:
    failure = await _refusal_by(http(status, REFLECTED, body="<html>no</html>"))

    assert isinstance(failure, TransportRefused)
    assert f"answered HTTP {status[:3]}" in str(failure)
    assert advice in failure.advice
    assert failure.retry_after_s is None


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 521, 530])
async def test_what_passes_by_itself_is_tried_again(code: int) -> None:
    failure = await _refusal_by(http(f"{code} Later", REFLECTED))

    assert isinstance(failure, TransportLost)
    assert str(failure).endswith(f" answered HTTP {code}")
    assert failure.retry_after_s is None


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_the_seconds_that_a_server_asks_for_are_kept(status: str) -> None:
    failure = await _refusal_by(http(status, "Retry-After: 17"))

    assert isinstance(failure, TransportLost)
    assert failure.retry_after_s == 17.0


async def test_the_date_that_a_server_asks_for_is_turned_into_seconds() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    failure = await _refusal_by(http("503 Service Unavailable", f"Retry-After: {in_an_hour}"))

    assert isinstance(failure, TransportLost)
    assert failure.retry_after_s is not None
    assert 0 < failure.retry_after_s <= 3600


async def test_a_refusal_keeps_what_the_server_asks_for_too() -> None:
    failure = await _refusal_by(http("401 Unauthorized", "Retry-After: 600"))

    assert isinstance(failure, TransportRefused)
    assert failure.retry_after_s == 600.0


async def test_of_two_wishes_the_first_counts() -> None:
    failure = await _refusal_by(http("503 Service Unavailable", "Retry-After: 5", "Retry-After: 6"))

    assert isinstance(failure, TransportLost)
    assert failure.retry_after_s == 5.0


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary", "308 X"])
async def test_a_redirect_is_never_followed(status: str) -> None:
    async with raw_server(upgrades) as target:
        location = f"Location: {target.url(f'/?key={TOKEN}')}"
        failure = await _refusal_by(http(status, location))
        assert target.peers == []

    assert isinstance(failure, TransportRefused)
    assert "redirects are not followed" in failure.advice


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "its answer is not HTTP/1.1"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "ended the connection in the middle"),
        (b"\r\n\r\n\r\n", "its answer is not HTTP/1.1"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "the header Connection of its answer"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "
            + TOKEN.encode()
            + b"\r\n\r\n",
            "the header Upgrade of its answer",
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + TOKEN.encode() + b"\r\n\r\n",
            "the header Sec-WebSocket-Accept of its answer",
        ),
        (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n", "answered HTTP 200"),
        (b"x" * 9000, "its answer is not HTTP/1.1"),
    ],
)
async def test_what_is_no_websocket_server_is_called_so(answer: bytes, why: str) -> None:
    assert why in str(await _refusal_by(answer))


async def test_a_page_too_long_to_read_does_not_hide_its_status() -> None:
    failure = await _refusal_by(http("404 Not Found", body="x" * 2_000_000))

    assert isinstance(failure, TransportRefused)
    assert str(failure).endswith("answered HTTP 404")


async def test_an_old_proxy_that_speaks_http_1_0_does_not_hide_its_status() -> None:
    failure = await _refusal_by(b"HTTP/1.0 503 Service Unavailable\r\n\r\n<html>down</html>")

    assert isinstance(failure, TransportLost)
    assert str(failure).endswith("answered HTTP 503")


async def test_a_server_that_agrees_to_what_was_not_offered_is_refused() -> None:
    async def script(peer: RawPeer) -> None:
        await peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate")

    async with raw_server(script) as server:
        failure = await refusal_of(transport_to(server.url()))

    assert isinstance(failure, TransportRefused)
    assert "it agreed to what was not offered" in str(failure)


async def test_a_server_that_closes_at_once() -> None:
    async def closes(peer: RawPeer) -> None:
        peer.writer.close()

    async with raw_server(closes) as server:
        failure = await refusal_of(transport_to(server.url()))

    assert isinstance(failure, TransportLost)
    assert str(failure).endswith("ended the connection in the middle of the WebSocket handshake")


async def test_a_server_that_resets_at_once() -> None:
    async def resets(peer: RawPeer) -> None:
        await peer.reader.read(1)
        peer.writer.transport.abort()

    async with raw_server(resets) as server:
        failure = await refusal_of(transport_to(server.url()))

    assert isinstance(failure, TransportLost)
    assert str(failure).endswith("ended the connection in the middle of the WebSocket handshake")


async def test_a_server_that_closes_in_the_middle_of_its_answer() -> None:
    failure = await _refusal_by(b"HTTP/1.1 101 Switching Proto")

    assert isinstance(failure, TransportLost)
    assert str(failure).endswith("ended the connection in the middle of the WebSocket handshake")


async def test_no_refused_connection_stays_open() -> None:
    async def refuses(peer: RawPeer) -> None:
        await peer.request()
        await peer.write(http("401 Unauthorized"))

    async with raw_server(refuses) as server:
        await refusal_of(transport_to(server.url()))
        await soon((await soon(server.arrivals.get())).gone.wait())


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_an_agent_with_a_key_is_not_told_to_check_its_token(status: str) -> None:
    async with raw_server(answers(http(status))) as server:
        failure = await refusal_of(transport_to(server.url(), token=None))

    assert isinstance(failure, TransportRefused)
    assert "sends no token with the upgrade request" in failure.advice
    assert "AGENT_SECRET_TOKEN" not in failure.advice
