"""From a connection to a WebSocket, or not."""

from __future__ import annotations

import asyncio

import pytest

from domain.fleet.host import Host
from tests.support.fleet_program import TOKEN
from tests.support.hub_server import HubServer
from tests.support.raw_socket import raw_socket


@pytest.mark.parametrize(
    ("offer", "selected", "first"),
    [
        ("instadeploy.v2, instadeploy.v1", "instadeploy.v2", "CHALLENGE"),
        ("instadeploy.v1, instadeploy.v2", "instadeploy.v2", "CHALLENGE"),
        ("instadeploy.v1", "instadeploy.v1", None),
        ("chat", None, None),
        (None, None, None),
    ],
)
async def test_the_newest_version_that_both_speak_is_selected(
    server: HubServer, host: Host, offer: str | None, selected: str | None, first: str | None
) -> None:
    async with raw_socket(server.port) as one:
        assert await one.request(Sec_WebSocket_Protocol=offer) == 101
        assert one.header("Sec-WebSocket-Protocol") == selected
        assert one.header("Sec-WebSocket-Extensions") is None
        if first is not None:
            assert (await one.read())["type"] == first
        else:
            await server.until(lambda: server.program.live.online() == {1: 1}, "v1 is online")


async def test_compression_is_not_agreed_to(server: HubServer, host: Host) -> None:
    async with raw_socket(server.port) as one:
        assert await one.request(Sec_WebSocket_Extensions="permessage-deflate") == 101
        assert one.header("Sec-WebSocket-Extensions") is None


@pytest.mark.parametrize("path", ["/", "/ws/", "/wsx", "/api/v1/hosts"])
async def test_agents_connect_at_one_path_alone(server: HubServer, host: Host, path: str) -> None:
    async with raw_socket(server.port) as one:
        assert await one.request(path) == 404


@pytest.mark.parametrize(
    "query", ["token=secret-1", "a=b&Access_Token=secret-1", "authorization=", "key=secret-1"]
)
async def test_a_token_in_a_url_is_refused_and_not_repeated(
    server: HubServer, host: Host, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_socket(server.port) as one:
        assert await one.request(f"/ws?{query}") == 400
        assert b"secret-1" not in await one.ended()
    assert "secret-1" not in caplog.text


async def test_another_query_is_nobodys_business(server: HubServer, host: Host) -> None:
    async with raw_socket(server.port) as one:
        assert await one.request("/ws?region=north") == 101


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer \xff\xfe"]
)
async def test_v1_without_a_good_token_is_refused_before_it_is_upgraded(
    server: HubServer, host: Host, authorization: str | None
) -> None:
    async with raw_socket(server.port) as one:
        status = await one.request(Sec_WebSocket_Protocol=None, Authorization=authorization)
        assert status == 401
        assert one.header("WWW-Authenticate") == "Bearer"
        await one.ended()


async def test_a_revoked_v1_host_is_told_so(server: HubServer, host: Host) -> None:
    await server.program.fleet.hosts.revoke(host.id, 1.0)
    async with raw_socket(server.port) as one:
        assert await one.request(Sec_WebSocket_Protocol=None) == 403


async def test_two_tokens_are_none(server: HubServer, host: Host) -> None:
    async with raw_socket(server.port) as one:
        twice = f"Bearer {TOKEN}\r\nAuthorization: Bearer another"
        assert await one.request(Authorization=twice) == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Version": "8"}, 400),
        ({"Sec_WebSocket_Protocol": "instadeploy.v2,,;"}, 400),
    ],
)
async def test_an_upgrade_that_breaks_the_rules_is_refused(
    server: HubServer, host: Host, headers: dict[str, str | None], status: int
) -> None:
    async with raw_socket(server.port) as one:
        assert await one.request(**headers) == status


async def test_the_api_is_reached_over_the_same_port(server: HubServer) -> None:
    async with raw_socket(server.port) as one:
        one.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert await one.status() == 200
        assert b"the API" in await one.ended()


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01\xfc" * 20, b"{}\r\n\r\n"])
async def test_garbage_before_the_upgrade_ends_the_connection(
    server: HubServer, garbage: bytes
) -> None:
    async with raw_socket(server.port) as one:
        one.send(garbage)
        await one.ended()
    await server.until(lambda: server.connections == 0, "it is gone")


async def test_a_head_without_end_is_not_read_for_ever(server: HubServer) -> None:
    async with raw_socket(server.port) as one:
        one.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        for number in range(200):
            if one.writer.transport.is_closing():
                break
            one.send(b"X-%d: %s\r\n" % (number, b"x" * 4000))
            await asyncio.sleep(0)
        await one.ended()
    await server.until(lambda: server.connections == 0, "it is gone")


async def test_who_says_nothing_or_a_byte_at_a_time_is_not_waited_for(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.websocket.hub_entrance.HEAD_S", 0.3)
    async with raw_socket(server.port) as silent, raw_socket(server.port) as slow:
        slow.send(b"GET /ws")
        await silent.ended()
        await slow.ended()
    await server.until(lambda: server.connections == 0, "they are gone")


async def test_a_database_that_hangs_does_not_hold_upgrades_open(
    server: HubServer, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.websocket.hub_connection.STAGE_S", 0.3)
    server.program.fleet.reach.hold()
    async with raw_socket(server.port) as one:
        assert await one.request(Sec_WebSocket_Protocol=None) == 503
        await one.ended()
    server.program.fleet.reach.release()
    await server.until(lambda: server.connections == 0, "it is gone")


@pytest.mark.parametrize(
    ("source", "address"), [("127.0.0.2", "198.51.100.9"), ("127.0.0.3", "127.0.0.3")]
)
async def test_only_a_trusted_proxy_is_believed_where_somebody_comes_from(
    server: HubServer, host: Host, source: str, address: str
) -> None:
    async with raw_socket(server.port, source=source) as one:
        forwarded = "203.0.113.1, 198.51.100.9"
        status = await one.request(Sec_WebSocket_Protocol=None, X_Forwarded_For=forwarded)
        assert status == 101
        await server.until(lambda: server.program.live.report_of(host.id), "it is online")
        report = server.program.live.report_of(host.id)
        assert report is not None
        assert report.address == address
