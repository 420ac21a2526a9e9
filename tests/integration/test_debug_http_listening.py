"""Where the debug transport listens, what keeps it from it, and how the agent comes by it."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from pytest_mock import MockerFixture

from adapters.debug_http.server import DebugHttpTransport
from domain.errors import TransportLost, TransportRefused
from entrypoints.agent.settings import load_settings
from entrypoints.agent.transports import make_transport
from entrypoints.configuration import SettingsError
from tests.contracts.transport import HANG_S, soon
from tests.fakes.host import FakeHost
from tests.integration.debug_http_client import TOKEN, DebugAgent, debug_agent

FACTS = FakeHost().facts()


@pytest.fixture
async def debug() -> AsyncIterator[DebugAgent]:
    async with debug_agent() as debug:
        yield debug


async def test_nothing_listens_once_the_link_is_closed(debug: DebugAgent) -> None:
    await soon(debug.link.close("the agent is stopping"))

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", debug.transport.port)


async def healthz_status(port: int) -> int:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(HANG_S)) as http,
        http.get(
            f"http://127.0.0.1:{port}/healthz", headers={"Authorization": f"Bearer {TOKEN}"}
        ) as response,
    ):
        return response.status


async def test_healthz_says_that_the_agent_is_there_and_its_version(debug: DebugAgent) -> None:
    answer = await debug.ask("GET", "/healthz")

    assert (answer.status, answer.body) == (200, {"status": "ok", "version": "1.0.0"})


async def test_it_listens_on_the_one_loopback_address(debug: DebugAgent) -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.2", debug.transport.port)


async def test_a_port_in_use_is_refused_with_advice_and_taken_once_it_is_free(
    debug: DebugAgent,
) -> None:
    second = DebugHttpTransport(debug.transport.port, TOKEN, FACTS)
    with pytest.raises(TransportRefused, match="in use") as refused:
        await second.connect()
    await debug.link.close("make room")
    link = await second.connect()
    await link.close("the test is over")

    assert "AGENT_HTTP_PORT" in refused.value.advice
    assert second.port == debug.transport.port


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, TransportRefused),
        (errno.EPERM, TransportRefused),
        (errno.EMFILE, TransportLost),
    ],
)
async def test_a_failure_to_listen_is_sorted_into_retry_and_ask_a_person(
    mocker: MockerFixture, number: int, expected: type[Exception]
) -> None:
    mocker.patch.object(socket, "create_server", side_effect=OSError(number, "why"))

    with pytest.raises(expected, match=r"port 80 of 127\.0\.0\.1"):
        await DebugHttpTransport(80, TOKEN, FACTS).connect()


async def test_a_cancelled_connect_leaves_no_socket_behind(mocker: MockerFixture) -> None:
    binding = mocker.spy(socket, "create_server")
    transport = DebugHttpTransport(0, TOKEN, FACTS)
    connecting = asyncio.create_task(transport.connect())
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting

    assert binding.spy_return.fileno() == -1
    # The event loop has forgotten it too: the next socket has the same number, and is served.
    link = await transport.connect()
    assert await healthz_status(transport.port) == 200
    await link.close("the test is over")


@pytest.fixture
def http_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SERVER_URL", raising=False)
    monkeypatch.setenv("AGENT_TRANSPORT", "http")
    monkeypatch.setenv("AGENT_TOKEN", TOKEN)
    monkeypatch.setenv("AGENT_HTTP_PORT", "0")


@pytest.mark.usefixtures("http_settings")
async def test_the_agent_needs_no_server_url_for_it() -> None:
    settings = load_settings()
    transport = make_transport(settings, settings.identification(), FACTS)

    assert isinstance(transport, DebugHttpTransport)
    link = await transport.connect()
    try:
        assert await healthz_status(transport.port) == 200
    finally:
        await link.close("the test is over")


@pytest.mark.usefixtures("http_settings")
def test_without_the_extra_the_settings_say_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "adapters.debug_http.server", None)
    settings = load_settings()

    with pytest.raises(SettingsError, match="debug-http"):
        make_transport(settings, settings.identification(), FACTS)


def test_a_production_agent_does_not_import_it() -> None:
    code = "import sys, entrypoints.agent.__main__ as _; print('aiohttp' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "False\n"
