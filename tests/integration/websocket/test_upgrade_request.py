"""What the agent says when it asks to speak WebSocket: the protocol's headers, and nothing else."""

from __future__ import annotations

import pytest

from domain.errors import TransportLost
from tests.integration.websocket.peers import (
    QUERY,
    TOKEN,
    RawPeer,
    raw_server,
    soon,
    transport_to,
)


async def _request_to(path: str, token: str | None = TOKEN) -> tuple[str, list[tuple[str, str]]]:
    seen: list[tuple[str, list[tuple[str, str]]]] = []

    async def script(peer: RawPeer) -> None:
        seen.append(await peer.request())
        await peer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(script) as server:
        with pytest.raises(TransportLost):
            await soon(transport_to(server.url(path), token=token).connect())
        request_line, headers = seen[0]
        return request_line, [
            (
                name,
                "..." if name == "Sec-WebSocket-Key" else value.replace(str(server.port), "PORT"),
            )
            for name, value in headers
        ]


async def test_the_upgrade_request_carries_exactly_the_protocols_headers() -> None:
    _, headers = await _request_to("/ws")

    assert sorted(headers) == [
        ("Authorization", f"Bearer {TOKEN}"),
        ("Connection", "Upgrade"),
        ("Host", "127.0.0.1:PORT"),
        ("Sec-WebSocket-Key", "..."),
        ("Sec-WebSocket-Protocol", "instadeploy.v2, instadeploy.v1"),
        ("Sec-WebSocket-Version", "13"),
        ("Upgrade", "websocket"),
        ("User-Agent", "instadeploy-agent/1.0.0"),
        ("X-Agent-Architecture", "linux-amd64"),
        ("X-Agent-Hostname", "web-1"),
        ("X-Agent-Version", "1.0.0"),
    ]


async def test_an_agent_with_a_key_sends_no_token_and_offers_the_second_version_alone() -> None:
    _, headers = await _request_to("/ws", token=None)

    names = [name for name, _ in headers]
    assert "Authorization" not in names
    assert ("Sec-WebSocket-Protocol", "instadeploy.v2") in headers


async def test_path_and_query_of_the_url_are_asked_for_as_they_are() -> None:
    request_line, _ = await _request_to(f"/a%20b/ws?key={QUERY}&x=1")

    assert request_line == f"GET /a%20b/ws?key={QUERY}&x=1 HTTP/1.1"


async def test_a_url_without_a_path_asks_for_the_root() -> None:
    request_line, _ = await _request_to("")

    assert request_line == "GET / HTTP/1.1"
