"""Proxies from the environment: which are used, what they are told, and what their failures are called."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

import pytest
import trustme

from domain.errors import TransportLost, TransportRefused
from tests.integration.websocket.peers import (
    PROXY_PASSWORD,
    TOKEN,
    RawPeer,
    RawServer,
    answers,
    http,
    link_of,
    listens,
    raw_server,
    refusal_of,
    server_tls,
    soon,
    transport_to,
    trust_in,
    upgrades,
)

CREDENTIALS = f"ali%40ce:{PROXY_PASSWORD}"


class ConnectProxy:
    """A script that does what CONNECT asks for, and keeps what it was told."""

    def __init__(self, target: RawServer) -> None:
        self._target = target
        self.requests: list[tuple[str, dict[str, str]]] = []

    async def __call__(self, peer: RawPeer) -> None:
        line, headers = await peer.request()
        self.requests.append((line, dict(headers)))
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target.port)
        await peer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(_pump(peer.reader, writer))
                both_ways.create_task(_pump(reader, peer.writer))
        finally:
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@pytest.mark.parametrize(
    "variable", ["WS_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "http_proxy"]
)
async def test_a_ws_address_is_reached_through_the_proxy_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    async with raw_server(upgrades) as target:
        script = ConnectProxy(target)
        async with raw_server(script) as proxy:
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
            link = await link_of(transport_to("ws://cp.example/ws"))
            await soon(link.close("the test is over"))

    ((line, headers),) = script.requests
    assert line == "CONNECT cp.example:80 HTTP/1.1"
    assert headers == {"Host": "cp.example", "User-Agent": "instadeploy-agent/1.0.0"}


@pytest.mark.parametrize("variable", ["WSS_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
async def test_a_wss_address_is_secured_from_end_to_end_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, variable: str
) -> None:
    tls = trust_in(authority)
    async with raw_server(upgrades, tls=server_tls(authority, "cp.example")) as target:
        script = ConnectProxy(target)
        async with raw_server(script) as proxy:
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
            link = await link_of(transport_to("wss://cp.example/ws", tls=tls))
            await soon(link.close("the test is over"))

    assert [line for line, _ in script.requests] == ["CONNECT cp.example:443 HTTP/1.1"]


async def test_a_wss_address_does_not_go_through_the_proxy_for_http(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    tls = trust_in(authority)
    async with (
        raw_server(upgrades, tls=server_tls(authority)) as target,
        raw_server(listens) as proxy,
    ):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        link = await link_of(transport_to(target.url(), tls=tls))
        await soon(link.close("the test is over"))
        assert proxy.peers == []


async def test_a_proxy_can_itself_be_reached_over_tls(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    tls = trust_in(authority)
    async with (
        raw_server(upgrades, tls=server_tls(authority, "cp.example")) as target,
        raw_server(ConnectProxy(target), tls=server_tls(authority)) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy.port}")
        link = await link_of(transport_to("wss://cp.example/ws", tls=tls))
        await soon(link.close("the test is over"))


async def test_the_proxy_gets_its_own_credentials_and_never_the_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with raw_server(upgrades) as target:
        script = ConnectProxy(target)
        async with raw_server(script) as proxy:
            monkeypatch.setenv("HTTP_PROXY", f"http://ali%40ce:secret@127.0.0.1:{proxy.port}")
            link = await link_of(transport_to("ws://cp.example/ws"))
            await soon(link.close("the test is over"))

    ((_, headers),) = script.requests
    assert headers["Proxy-Authorization"] == "Basic YWxpQGNlOnNlY3JldA=="
    assert TOKEN not in str(headers)


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "other.example, 127.0.0.1"])
async def test_hosts_in_no_proxy_are_dialled_directly(
    monkeypatch: pytest.MonkeyPatch, exempt: str
) -> None:
    async with raw_server(upgrades) as target, raw_server(listens) as proxy:
        for variable in ("HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", exempt)
        link = await link_of(transport_to(target.url()))
        await soon(link.close("the test is over"))
        assert proxy.peers == []


async def _through(
    monkeypatch: pytest.MonkeyPatch, *answer: bytes
) -> TransportLost | TransportRefused:
    async with raw_server(answers(*answer)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}")
        return await refusal_of(transport_to("ws://cp.example/ws"))


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("407 Proxy Authentication Required", "the proxy's user and password"),
        ("403 Forbidden", "that the proxy lets this machine through"),
        ("405 Method Not Allowed", "that the proxy lets this machine through"),
    ],
)
async def test_a_proxy_that_refuses_is_a_matter_for_a_person(
    monkeypatch: pytest.MonkeyPatch, status: str, advice: str
) -> None:
    failure = await _through(monkeypatch, http(status))

    assert isinstance(failure, TransportRefused)
    assert str(failure) == f"the proxy on the way to ws://cp.example/ws answered HTTP {status[:3]}"
    assert advice in failure.advice


@pytest.mark.parametrize("code", [502, 503, 504])
async def test_a_proxy_that_does_not_reach_the_control_plane_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    failure = await _through(monkeypatch, http(f"{code} Not Now"))

    assert isinstance(failure, TransportLost)
    assert str(failure) == f"the proxy on the way to ws://cp.example/ws answered HTTP {code}"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "ended the connection in the middle of connecting through the proxy"),
        (b"HTTP/1.1 2", "ended the connection in the middle of connecting through the proxy"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
    ],
)
async def test_what_stands_in_a_proxys_place_is_not_called_the_control_plane(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, why: str
) -> None:
    failure = await _through(monkeypatch, answer)

    assert str(failure) == f"the proxy on the way to ws://cp.example/ws {why}"


async def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://{CREDENTIALS}@127.0.0.1:{bound.getsockname()[1]}")
        failure = await refusal_of(transport_to("ws://cp.example/ws"))

    assert isinstance(failure, TransportLost)
    assert str(failure) == (
        "the proxy on the way to ws://cp.example/ws cannot be reached: Connection refused"
    )


async def test_a_proxy_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(listens) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}")
        failure = await refusal_of(transport_to("ws://cp.example/ws", stage_s=0.1))
        await soon((await soon(proxy.arrivals.get())).gone.wait())

    assert isinstance(failure, TransportLost)
    assert str(failure) == "ws://cp.example/ws did not finish connecting through the proxy in time"


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_what_hangs_behind_the_proxy_is_told_from_the_proxy(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    async with raw_server(listens) as target, raw_server(ConnectProxy(target)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        tls = ssl.create_default_context() if scheme == "wss" else None
        transport = transport_to(f"{scheme}://cp.example/ws", tls=tls, stage_s=0.6)
        failure = await refusal_of(transport)

    stage = "the TLS handshake" if scheme == "wss" else "the WebSocket handshake"
    assert str(failure) == f"{scheme}://cp.example/ws did not finish {stage} in time"


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        (
            f"socks5://{CREDENTIALS}@127.0.0.1:1080",
            "a SOCKS proxy, which this agent does not speak",
        ),
        (f"ftp://{CREDENTIALS}@127.0.0.1:1080", "a proxy that is not a URL"),
        (f"http://{CREDENTIALS}@127.0.0.1:port", "a proxy that is not a URL"),
        (f"http://user:{PROXY_PASSWORD}/x@127.0.0.1:1", "a proxy that is not a URL"),
        (f"http://{PROXY_PASSWORD}@127.0.0.1:1", "a proxy that is not a URL"),
        ("proxy.example:3128", "a proxy that is not a URL such as http://host:port"),
    ],
)
async def test_a_proxy_that_cannot_be_used_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, proxy: str, why: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    failure = await refusal_of(transport_to("ws://cp.example/ws"))

    assert isinstance(failure, TransportRefused)
    assert str(failure).startswith(f"the environment names {why}")
    assert "HTTPS_PROXY" in failure.advice


async def test_a_socks_proxy_of_the_environment_is_seen_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOCKS_PROXY", "http://127.0.0.1:1080")
    failure = await refusal_of(transport_to("ws://cp.example/ws"))

    assert "a SOCKS proxy" in str(failure)
