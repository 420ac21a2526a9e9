"""Nothing that is logged, at whatever level, holds the token or what else is secret in an address."""

from __future__ import annotations

import logging

import pytest

from domain.commands import CheckHealth
from tests.contracts.transport import command
from tests.integration.websocket.agents import HurriedClock, healthy, running_agent
from tests.integration.websocket.peers import (
    PROXY_PASSWORD,
    QUERY,
    TEXT,
    TOKEN,
    RawPeer,
    Script,
    answers,
    frame,
    http,
    raw_server,
    soon,
    transport_to,
)


async def _takes_the_token_and_then_hangs_up(peer: RawPeer) -> None:
    await peer.upgrade(f"X-Reflected: {TOKEN}")
    await peer.write(frame(TEXT, command("job-1").encode()))
    await peer.receive()
    peer.writer.close()


@pytest.mark.parametrize(
    "script",
    [
        _takes_the_token_and_then_hangs_up,
        answers(http("401 Unauthorized", f"WWW-Authenticate: {TOKEN}", body=TOKEN)),
        answers(http("302 Found", f"Location: ws://127.0.0.1:1/?{QUERY}")),
        answers(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: ", TOKEN.encode(), b"\r\n\r\n"),
        answers(TOKEN.encode(), b"\r\n\r\n"),
    ],
    ids=["served", "unauthorized", "redirected", "reflected in a header", "reflected as nonsense"],
)
@pytest.mark.parametrize("through_a_proxy", [False, True])
async def test_nothing_secret_is_logged(
    script: Script,
    through_a_proxy: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "websockets.client", "asyncio", "application", "adapters"):
        caplog.set_level(logging.DEBUG, logger=name)
    clock = HurriedClock()

    async def agrees(peer: RawPeer) -> None:
        await peer.request()
        await peer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await script(peer)

    async with raw_server(agrees if through_a_proxy else script) as server:
        if through_a_proxy:
            proxy = f"http://user:{PROXY_PASSWORD}@127.0.0.1:{server.port}"
            monkeypatch.setenv("HTTP_PROXY", proxy)
        transport = transport_to(server.url(f"/ws?key={QUERY}"))
        async with running_agent(transport, {CheckHealth: healthy}, clock=clock):
            for _ in range(2):
                await soon(clock.waits.get())

    assert "in 120 s" in caplog.text or "connecting again" in caplog.text
    for secret in (TOKEN, QUERY, PROXY_PASSWORD):
        assert secret not in caplog.text
