"""What the debug transport refuses: in JSON that says what to do, and out of the agent's sight."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator, Mapping

import pytest
from pytest_mock import MockerFixture

from adapters.debug_http import api
from adapters.wire.codec import MAX_FRAME_BYTES, decode, encode
from tests.builders import frame
from tests.fakes.clock import settle
from tests.integration.debug_http_client import HURRIED, JSON, TOKEN, DebugAgent, debug_agent
from tests.unit.dispatching import Bench

COMMAND = frame("h-1", "HEALTH_CHECK")
HEAD = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"


@pytest.fixture
async def debug() -> AsyncIterator[DebugAgent]:
    async with debug_agent() as debug:
        yield debug


async def on_a_websocket(text: str | bytes) -> dict[str, object]:
    """The final response that the same frame gets where the agent takes it in from a WebSocket."""
    async with Bench().running() as bench:
        bench.take(decode(text))
        await settle()
        response: dict[str, object] = json.loads(encode(bench.events[-1]))
        return response


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        b"\xff",
        '{"id": "a", "id": "b", "type": "STATUS", "payload": {}}',
        "[" * 100_000,
        '{"type": "HEALTH_CHECK", "payload": {}}',
        '{"id": 7, "type": "HEALTH_CHECK", "payload": {}}',
        '{"id": "", "type": "HEALTH_CHECK", "payload": {}}',
        '{"id": "a\\nb", "type": "HEALTH_CHECK", "payload": {}}',
        '{"id": "a", "payload": {}}',
        '{"id": "a", "type": "HEALTH_CHECK"}',
        '{"id": "a", "type": "HEALTH_CHECK", "payload": null}',
        '{"id": "a", "type": "REBOOT", "payload": {}}',
        '{"id": "a", "type": "STATUS", "payload": {}}',
        '{"id": "a", "type": "STATUS", "payload": {"project_name": ".."}}',
        '{"id": "a", "type": "STATUS", "payload": {"project_name": "-x"}}',
        frame("a", "DEPLOY_COMPOSE", project_name="a", compose_file_base64="no base64"),
        frame(
            "a",
            "DEPLOY_COMPOSE",
            project_name="a",
            compose_file_base64=base64.b64encode(b"#" * (1024 * 1024 + 1)).decode(),
        ),
    ],
    ids=lambda text: str(text)[:40],
)
async def test_bad_input_gets_the_answer_that_a_websocket_gives_as_a_400(
    debug: DebugAgent, text: str | bytes
) -> None:
    answer = await debug.ask("POST", "/commands", text)

    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.body == await on_a_websocket(text)
    assert answer.body["status"] == "FAILED"
    assert await debug.saw_nothing()


@pytest.mark.parametrize("path", ["/", "/commands/", "/command", "//commands", "/healthz/x"])
async def test_an_unknown_path_names_the_known_ones(debug: DebugAgent, path: str) -> None:
    answer = await debug.ask("POST", path, COMMAND)

    assert answer.status == 404
    assert answer.body == {"error": "ask for one of: POST /commands, GET /healthz"}
    assert await debug.saw_nothing()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/commands", "POST"),
        ("PUT", "/commands", "POST"),
        ("OPTIONS", "/commands", "POST"),
        ("POST", "/healthz", "GET"),
        ("DELETE", "/healthz", "GET"),
    ],
)
async def test_another_method_names_the_right_one(
    debug: DebugAgent, method: str, path: str, allowed: str
) -> None:
    answer = await debug.ask(method, path, COMMAND)

    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    assert allowed in str(answer.body["error"])
    assert await debug.saw_nothing()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json2"},
        {**JSON, "Content-Encoding": "gzip"},
        {**JSON, "Content-Encoding": "identity"},
    ],
)
async def test_a_body_that_is_not_plain_json_is_refused(
    debug: DebugAgent, headers: Mapping[str, str]
) -> None:
    answer = await debug.ask("POST", "/commands", COMMAND, headers)

    assert answer.status == 415
    assert str(answer.body["error"]).startswith("send the command with")
    assert await debug.saw_nothing()


async def test_a_body_that_calls_itself_too_large_is_refused_before_it_is_sent(
    debug: DebugAgent,
) -> None:
    answer = await debug.raw(
        f"POST /commands HTTP/1.1\r\n{HEAD}Content-Length: {MAX_FRAME_BYTES + 1}\r\n\r\n".encode()
    )

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"8 MiB" in answer
    assert await debug.saw_nothing()


async def test_a_body_of_unknown_length_is_refused_once_it_is_too_large(
    debug: DebugAgent,
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * 1024 * 1024

    answer = await debug.ask("POST", "/commands", chunks())

    assert answer.status == 413
    assert await debug.saw_nothing()


async def test_a_body_of_the_largest_size_is_read(debug: DebugAgent) -> None:
    answer = await debug.ask("POST", "/commands", "[]" + " " * (MAX_FRAME_BYTES - 2))

    assert answer.status == 400
    assert "not an array" in str(answer.body["error"])


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever() -> None:
    async with debug_agent(HURRIED) as debug:
        answer = await debug.raw(
            f"POST /commands HTTP/1.1\r\n{HEAD}Content-Length: 10\r\n\r\n{{".encode()
        )

        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_request_that_does_not_come_to_its_end_is_not_waited_for_for_ever() -> None:
    async with debug_agent(HURRIED) as debug:
        assert await debug.raw(b"POST /commands HTTP/1.1\r\nHost: local") == b""


async def test_a_body_is_asked_for_only_from_those_who_may_send_it(debug: DebugAgent) -> None:
    expecting = "Expect: 100-continue\r\nConnection: close\r\n"
    stranger = await debug.raw(
        f"POST /commands HTTP/1.1\r\nHost: localhost\r\n{expecting}Content-Length: 2\r\n\r\n[]".encode()
    )
    friend = await debug.raw(
        f"POST /commands HTTP/1.1\r\n{HEAD}{expecting}Content-Length: 2\r\n\r\n[]".encode()
    )

    assert stranger.startswith(b"HTTP/1.1 401 ")
    assert friend.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        f"GET /healthz HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\x00\r\nHost: a\r\n\r\n".encode(),
        f"GET /healthz HTTP/1.1\r\nAuthorization: {TOKEN}{'x' * 9000}\r\nHost: a\r\n\r\n".encode(),
        f"GET /healthz?{TOKEN}\x01 HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
        f"{TOKEN}\r\n\r\n".encode(),
    ],
)
async def test_what_is_no_http_is_refused_and_repeated_neither_to_the_client_nor_in_the_log(
    debug: DebugAgent, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await debug.raw(request_bytes)

    assert b" 400 " in answer.splitlines()[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
        "error": "the request is not valid HTTP"
    }
    assert TOKEN.encode() not in answer
    assert TOKEN not in caplog.text


async def test_a_body_that_is_no_http_is_refused(debug: DebugAgent) -> None:
    answer = await debug.raw(
        f"POST /commands HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\nnot a size\r\n".encode()
    )

    assert b" 400 " in answer.splitlines()[0]
    assert await debug.saw_nothing()


async def test_a_bug_is_owned_up_to_and_logged_and_the_next_request_served(
    debug: DebugAgent, mocker: MockerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    mocker.patch.object(api, "decode", side_effect=[RuntimeError("the bug"), decode("[]")])
    broken = await debug.ask("POST", "/commands", COMMAND)
    served = await debug.ask("POST", "/commands", COMMAND)

    assert broken.status == 500
    assert "internal error" in str(broken.body["error"])
    assert "the bug" in caplog.text
    assert "the bug" not in broken.text
    assert served.status == 400
