"""Who may ask the debug transport for anything: a local program that has the token, and no web page."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from tests.builders import frame
from tests.integration.debug_http_client import JSON, TOKEN, DebugAgent, debug_agent

COMMAND = frame("h-1", "HEALTH_CHECK")


@pytest.fixture
async def debug() -> AsyncIterator[DebugAgent]:
    async with debug_agent() as debug:
        yield debug


@pytest.mark.parametrize("path", ["/commands", "/healthz", "/elsewhere"])
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer tökén",
    ],
)
async def test_a_request_without_the_token_is_told_nothing_but_that(
    debug: DebugAgent, path: str, authorization: str | None
) -> None:
    debug.headers = {} if authorization is None else {"Authorization": authorization}
    answer = await debug.ask("POST", path, COMMAND)
    debug.headers = {"Authorization": f"Bearer {TOKEN}"}

    assert (answer.status, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
    assert "Authorization: Bearer" in str(answer.body["error"])
    assert TOKEN not in answer.text
    assert await debug.saw_nothing()


async def test_two_tokens_in_one_request_are_refused(debug: DebugAgent) -> None:
    answer = await debug.raw(
        f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Authorization: Bearer other\r\n\r\n".encode()
    )

    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_the_name_of_the_scheme_has_no_case(debug: DebugAgent) -> None:
    debug.headers = {"Authorization": f"bearer {TOKEN}"}

    assert (await debug.ask("GET", "/healthz")).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8090",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example/localhost",
        "user@localhost",
        "localhost:",
        "localhost:http",
        "[::1]",
        "127.0.0.2",
        "0.0.0.0",
        "",
    ],
)
async def test_a_request_for_another_host_is_refused(debug: DebugAgent, host: str) -> None:
    answer = await debug.ask("POST", "/commands", COMMAND, {**JSON, "Host": host})

    assert answer.status == 421
    assert "127.0.0.1 or localhost" in str(answer.body["error"])
    assert await debug.saw_nothing()


async def test_a_request_that_names_no_host_is_refused(debug: DebugAgent) -> None:
    answer = await debug.raw(
        f"GET /healthz HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    )

    assert b" 421 " in answer


@pytest.mark.parametrize("host", ["localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:65535"])
async def test_a_request_for_this_host_by_any_port_is_taken(debug: DebugAgent, host: str) -> None:
    assert (await debug.ask("GET", "/healthz", headers={"Host": host})).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "http://localhost"])
async def test_no_web_page_may_ask(debug: DebugAgent, origin: str) -> None:
    answer = await debug.ask("POST", "/commands", COMMAND, {**JSON, "Origin": origin})

    assert answer.status == 403
    assert "Origin" in str(answer.body["error"])
    assert await debug.saw_nothing()


async def test_the_log_says_what_was_refused_and_nothing_of_the_request(
    debug: DebugAgent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    debug.headers = {"Authorization": f"Bearer {TOKEN}x"}
    await debug.ask("POST", f"/commands?{TOKEN}", COMMAND)
    debug.headers = {"Authorization": f"Bearer {TOKEN}"}
    await debug.ask("POST", f"/elsewhere/{TOKEN}", COMMAND)

    refused = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [message.split(":")[0] for message in refused] == [
        "refused a request with status 401",
        "refused a request with status 404",
    ]
    assert TOKEN not in caplog.text
    assert not [r for r in caplog.records if r.name.startswith("aiohttp")]
