"""The way to a control plane, stage by stage, over real sockets."""

from __future__ import annotations

import asyncio
import email.utils
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from adapters.websocket.probing import WebSocketWay
from application.ports.control_plane_way import WEBSOCKET, ControlPlaneWay
from domain.errors import TransportLost, TransportRefused
from tests.contracts.control_plane_way import ControlPlaneWayContract
from tests.integration.websocket.peers import (
    PROXY_PASSWORD,
    QUERY,
    V2,
    RawPeer,
    Script,
    answers,
    http,
    listens,
    raw_server,
    server_tls,
    soon,
    trust_in,
)
from tests.integration.websocket.test_proxy import ConnectProxy

UNAUTHORIZED = http("401 Unauthorized")
SHORT_S = 0.3
"""After so long a proxy of these tests cuts what is idle."""
LONG_S = 15.0


def way_to(url: str, tls: ssl.SSLContext | None = None) -> WebSocketWay:
    return WebSocketWay(url, version="1.0.0", tls=tls)


async def until_asked(peer: RawPeer) -> None:
    """Answers a request with 401, and one that never comes with patience."""
    await peer.request()
    await peer.write(UNAUTHORIZED)


async def agrees(peer: RawPeer) -> None:
    await peer.upgrade(V2)
    await peer.read_to_the_end()


def cuts_after_an_upgrade(*, seconds: float) -> Script:
    async def script(peer: RawPeer) -> None:
        await peer.upgrade(V2)
        asyncio.get_running_loop().call_later(seconds, peer.writer.transport.abort)
        await peer.read_to_the_end()

    return script


class TestWebSocketWay(ControlPlaneWayContract):
    @pytest.fixture
    async def way(self, authority: trustme.CA) -> AsyncIterator[ControlPlaneWay]:
        async with raw_server(until_asked, tls=server_tls(authority)) as server:
            yield way_to(server.url(), trust_in(authority))

    @pytest.fixture
    def blocked_way(self) -> ControlPlaneWay:
        return way_to(f"ws://127.0.0.1:{_refused_port()}/ws")

    @pytest.fixture
    async def silent_way(self) -> AsyncIterator[ControlPlaneWay]:
        async with raw_server(listens) as server:
            yield way_to(server.url())


def _refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_no_token_and_no_query_is_shown_and_the_secret_one_is_not_sent() -> None:
    seen: list[tuple[str, list[tuple[str, str]]]] = []

    async def script(peer: RawPeer) -> None:
        seen.append(await peer.request())
        await peer.write(UNAUTHORIZED)

    async with raw_server(script) as server:
        way = way_to(server.url(f"/ws?key={QUERY}"))
        assert QUERY not in str(way.way())
        await soon(way.ask())
    ((_, headers),) = seen
    assert "authorization" not in {name.lower() for name, _ in headers}
    assert dict(headers)["User-Agent"] == "instadeploy-agent/1.0.0 (doctor)"


async def test_a_port_that_nobody_listens_at_is_lost_with_its_reason() -> None:
    with pytest.raises(TransportLost, match="Connection refused"):
        await soon(way_to(f"ws://127.0.0.1:{_refused_port()}/ws").connect())


async def test_a_name_that_nobody_knows_is_said() -> None:
    with pytest.raises(TransportLost, match=r"the name cp\.invalid is not known"):
        await soon(way_to("wss://cp.invalid/ws").resolve())


async def test_a_certificate_is_shown_as_it_is(authority: trustme.CA) -> None:
    async with raw_server(until_asked, tls=server_tls(authority)) as server:
        found = await soon(way_to(server.url(), trust_in(authority)).secure())
    assert found.subject
    assert found.issuer
    assert found.expires_at > datetime.now(UTC).timestamp()
    assert found.tls.startswith("TLSv1.")


async def _not_trusted(context: ssl.SSLContext, trust: ssl.SSLContext) -> TransportRefused:
    async with raw_server(until_asked, tls=context) as server:
        with pytest.raises(TransportRefused) as refused:
            await soon(way_to(server.url(), trust).secure())
    return refused.value


async def test_a_certificate_for_another_name_is_refused(authority: trustme.CA) -> None:
    context = server_tls(authority, "other.example")
    refused = await _not_trusted(context, trust_in(authority))
    assert "not valid for '127.0.0.1'" in str(refused)
    assert "AGENT_CA_FILE" in refused.advice


async def test_an_authority_that_is_not_trusted_is_refused(authority: trustme.CA) -> None:
    refused = await _not_trusted(server_tls(authority), ssl.create_default_context())
    assert "is not trusted" in str(refused)


def _expired(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    authority.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(context)
    return context


async def test_an_expired_certificate_is_refused(authority: trustme.CA) -> None:
    refused = await _not_trusted(_expired(authority), trust_in(authority))
    assert "expired" in str(refused)


async def test_the_time_is_heard_also_behind_a_certificate_that_is_not_trusted(
    authority: trustme.CA,
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1, seconds=30)
    script = answers(
        http("401 Unauthorized", f"Date: {email.utils.format_datetime(tomorrow, True)}")
    )
    async with raw_server(script, tls=_expired(authority)) as server:
        date = await soon(way_to(server.url(), trust_in(authority)).date())
    assert date == int(tomorrow.timestamp())


@pytest.mark.parametrize("header", ["X-No: date", "Date: the day after", "Date: "])
async def test_a_date_that_is_none_is_none(header: str) -> None:
    async with raw_server(answers(http("404 Not Found", header))) as server:
        assert await soon(way_to(server.url()).date()) is None


async def test_what_is_answered_is_told_whatever_it_is() -> None:
    async with raw_server(answers(http("503 Service Unavailable"))) as server:
        assert (await soon(way_to(server.url()).ask())).status == 503
    async with raw_server(agrees) as server:
        assert (await soon(way_to(server.url()).ask())).status == 101


async def test_one_that_speaks_no_http_is_refused() -> None:
    async with raw_server(answers(b"SSH-2.0-OpenSSH_9.2\r\n")) as server:
        with pytest.raises((TransportRefused, TransportLost)):
            await soon(way_to(server.url()).ask())


async def test_a_websocket_that_is_left_open_is_open() -> None:
    async with raw_server(agrees) as server:
        end = await soon(way_to(server.url()).idle(0.05))
    assert (end.is_open, end.kind) == (True, WEBSOCKET)


async def test_a_websocket_that_is_cut_for_being_idle_is_noticed() -> None:
    script = cuts_after_an_upgrade(seconds=SHORT_S)
    async with raw_server(script) as server:
        end = await soon(way_to(server.url()).idle(LONG_S))
    assert (end.is_open, end.kind, end.close_code) == (False, WEBSOCKET, None)
    assert SHORT_S <= end.seconds < LONG_S


async def test_a_websocket_that_the_control_plane_ends_has_its_code() -> None:
    async def script(peer: RawPeer) -> None:
        await peer.upgrade(V2)
        await peer.write(b"\x88\x02" + (4408).to_bytes(2, "big"))
        peer.writer.close()

    async with raw_server(script) as server:
        end = await soon(way_to(server.url()).idle(LONG_S))
    assert (end.is_open, end.close_code) == (False, 4408)


async def test_where_a_websocket_is_refused_a_connection_idles(authority: trustme.CA) -> None:
    async with raw_server(until_asked, tls=server_tls(authority)) as server:
        end = await soon(way_to(server.url(), trust_in(authority)).idle(0.05))
    assert (end.is_open, end.kind) == (True, "TLS")


async def test_the_environments_proxy_is_gone_through_and_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with raw_server(until_asked) as server:
        proxying = ConnectProxy(server)
        async with raw_server(proxying) as proxy:
            address = f"http://127.0.0.1:{proxy.port}"
            named = address.replace("://", f"://ann:{PROXY_PASSWORD}@")
            monkeypatch.setenv("HTTPS_PROXY", named)
            way = way_to(server.url())
            assert way.way().proxy == address
            assert list(await soon(way.resolve())) == ["127.0.0.1"]
            await soon(way.connect())
            assert (await soon(way.ask())).status == 401
    assert len(proxying.requests) == 2


async def test_a_proxy_that_says_no_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    script = answers(http("407 Proxy Authentication Required"))
    async with raw_server(script) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://ann:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}")
        with pytest.raises(TransportRefused, match="the proxy on the way to") as refused:
            await soon(way_to("ws://cp.example/ws").connect())
    assert PROXY_PASSWORD not in str(refused.value) + refused.value.advice


async def test_a_proxy_that_cannot_be_used_is_said_before_it_is_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5://ann:{PROXY_PASSWORD}@127.0.0.1:1080")
    with pytest.raises(TransportRefused, match="SOCKS") as refused:
        way_to("wss://cp.example/ws").way()
    assert PROXY_PASSWORD not in str(refused.value)


async def test_a_proxy_that_cuts_what_is_idle_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(agrees) as server:

        async def cutting(peer: RawPeer) -> None:
            asyncio.get_running_loop().call_later(1.0, peer.writer.transport.abort)
            await ConnectProxy(server)(peer)

        async with raw_server(cutting) as proxy:
            monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
            end = await soon(way_to(server.url()).idle(LONG_S))
    assert (end.is_open, end.kind, end.close_code) == (False, WEBSOCKET, None)
    assert 0.5 < end.seconds < LONG_S
