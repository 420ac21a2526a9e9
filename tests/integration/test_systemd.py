"""What systemd is told, on a socket that stands in for its own."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.host.systemd import SystemdServiceManager
from domain.link_status import LinkStatus, Standing
from tests.support.agent_process import running_agent
from tests.support.control_plane import ControlPlane

PATIENCE_S = 30.0


def is_connected(told: bytes) -> bool:
    return re.fullmatch(rb"STATUS=Connected: since [\dT:Z-]+, over protocol v1", told) is not None


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(PATIENCE_S)
        yield notified


def test_each_state_is_one_datagram(listening: socket.socket, tmp_path: Path) -> None:
    manager = SystemdServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    manager.ready()
    manager.alive()
    manager.status(LinkStatus(Standing.LOST, "they said:\nREADY=1\0\x1b[1m"))
    manager.stopping()
    assert [listening.recv(100) for _ in range(4)] == [
        b"READY=1",
        b"WATCHDOG=1",
        b"STATUS=Not connected: they said: READY=1 [1m",
        b"STOPPING=1",
    ]
    assert manager.watchdog_s is None


def test_an_abstract_socket_is_found() -> None:
    name = f"instadeploy-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(f"\0{name}")
        notified.settimeout(PATIENCE_S)
        SystemdServiceManager({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert notified.recv(100) == b"READY=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_nobody_who_listens_is_nothing_to_fail_of(environment: dict[str, str]) -> None:
    manager = SystemdServiceManager(environment)
    manager.ready()
    manager.alive()
    manager.stopping()
    assert manager.watchdog_s is None


@pytest.mark.parametrize(
    ("said", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_how_long_the_agent_may_be_silent(
    said: dict[str, str], watchdog_s: float | None, tmp_path: Path
) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), **said}
    assert SystemdServiceManager(environment).watchdog_s == watchdog_s


async def test_an_agent_says_that_it_is_ready_and_goes_on_saying_that_it_is_alive(
    listening: socket.socket, tmp_path: Path
) -> None:
    settings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
    async with (
        ControlPlane() as plane,
        running_agent(tmp_path, server_url=plane.url, settings=settings) as agent,
    ):
        await plane.agent()
        said: set[bytes] = set()
        while not {b"READY=1", b"WATCHDOG=1"} <= said or not any(map(is_connected, said)):
            said.add(listening.recv(500))
        assert {told for told in said if not told.startswith(b"STATUS=")} == {
            b"READY=1", b"WATCHDOG=1"
        }  # fmt: skip
        assert await agent.stop() == 0
    while (last := listening.recv(500)) == b"WATCHDOG=1":
        continue
    assert last == b"STOPPING=1"
