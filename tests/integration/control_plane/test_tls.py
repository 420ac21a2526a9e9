"""TLS without a proxy: whose certificate it is, how it is renewed, and who is not waited for."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme
import uvloop
from fastapi import FastAPI

from adapters.clock.system import SystemClock
from adapters.websocket.hub import AgentHub
from entrypoints.control_plane import server as server_module
from entrypoints.control_plane.certificate import LOOK_EVERY_S, Certificate
from entrypoints.control_plane.server import ApiServer, listening_on
from entrypoints.control_plane.settings import Address, ControlPlaneSettings
from tests.fakes.clock import FakeClock, settle
from tests.support.control_plane_process import running_control_plane
from tests.support.fleet_program import FleetProgram

PATIENCE_S = 30.0


class Files:
    """A certificate and its key, as they are in two files; `trusted` is who has issued the newest."""

    def __init__(self, home: Path) -> None:
        self.cert, self.key = home / "cert.pem", home / "key.pem"
        self.renew()

    def renew(self) -> None:
        """Have another authority issue another one."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(self.cert)
        issued.private_key_pem.write_to_path(self.key)
        self.trusted = ssl.create_default_context()
        authority.configure_trust(self.trusted)

    @property
    def settings(self) -> ControlPlaneSettings:
        return ControlPlaneSettings(tls_cert_file=self.cert, tls_key_file=self.key)

    @property
    def variables(self) -> dict[str, str]:
        return {
            "CONTROL_PLANE_TLS_CERT_FILE": str(self.cert),
            "CONTROL_PLANE_TLS_KEY_FILE": str(self.key),
        }


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@contextlib.asynccontextmanager
async def listening(certificate: Certificate) -> AsyncIterator[int]:
    """A server that says one word over TLS; its port."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=certificate.context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def is_trusted(port: int, trusted: ssl.SSLContext) -> bool:
    """Whether what answers has a certificate that was issued by somebody who is trusted."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
    except ssl.SSLCertVerificationError:
        return False
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b"hello"
    writer.close()
    return True


@contextlib.asynccontextmanager
async def looking(certificate: Certificate) -> AsyncIterator[None]:
    """Have it look at its files, by the clock."""
    task = asyncio.create_task(certificate.run())
    await settle()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_renewed_certificate_is_shown_within_a_minute(files: Files) -> None:
    clock = FakeClock()
    certificate = Certificate(files.settings, clock)
    before = files.trusted
    async with listening(certificate) as port, looking(certificate):
        files.renew()
        assert await is_trusted(port, before)
        await clock.advance(LOOK_EVERY_S)
        assert await is_trusted(port, files.trusted)
        assert not await is_trusted(port, before)


async def test_files_that_are_as_they_were_are_not_read(files: Files) -> None:
    clock = FakeClock()
    certificate = Certificate(files.settings, clock)
    context = certificate.shown
    async with looking(certificate):
        await clock.advance(3 * LOOK_EVERY_S)
        assert certificate.shown is context
        certificate.look(anyhow=True)
        assert certificate.shown is not context


@pytest.mark.parametrize("broken", ["no PEM", "another's key", "missing"])
async def test_where_the_new_one_is_broken_the_old_one_stays(
    files: Files, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    certificate = Certificate(files.settings, clock)
    before, old_key = files.trusted, files.key.read_bytes()
    async with listening(certificate) as port, looking(certificate):
        files.renew()
        whole = files.key.read_bytes()
        if broken == "missing":
            files.key.unlink()
        else:
            files.key.write_bytes(b"no PEM" if broken == "no PEM" else old_key)
        await clock.advance(3 * LOOK_EVERY_S)
        assert await is_trusted(port, before)
        assert caplog.text.count("CONTROL_PLANE_TLS_KEY_FILE") == 1
        assert "the certificate of before stays" in caplog.text
        files.key.write_bytes(whole)
        await clock.advance(LOOK_EVERY_S)
        assert await is_trusted(port, files.trusted)


async def test_sighup_has_it_read_at_once_and_open_connections_stay(
    tmp_path: Path, files: Files
) -> None:
    before = files.trusted
    async with (
        running_control_plane(tmp_path, settings=files.variables) as one,
        one.client(verify=before) as client,
    ):
        assert (await client.get("/hosts")).status_code == 200
        files.renew()
        one.process.send_signal(signal.SIGHUP)
        await one.logged(re.compile("the certificate was read again"))
        async with one.client(verify=files.trusted) as another:
            assert (await another.get("/hosts")).status_code == 200
        assert (await client.get("/hosts")).status_code == 200
        async with one.client(verify=before) as stranger:
            with pytest.raises(httpx.ConnectError):
                await stranger.get("/hosts")


async def test_without_tls_sighup_changes_nothing(tmp_path: Path) -> None:
    async with running_control_plane(tmp_path) as one, one.client() as client:
        one.process.send_signal(signal.SIGHUP)
        await one.logged(re.compile("SIGHUP"))
        assert (await client.get("/hosts")).status_code == 200


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_does_not_finish_the_handshake_is_not_waited_for(
    files: Files, loop: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "HANDSHAKE_S", 0.05)

    async def connect() -> None:
        program = FleetProgram(SystemClock())
        hub = AgentHub(program.reception, heartbeat_s=15.0)
        certificate = Certificate(files.settings, SystemClock())
        server = ApiServer(FastAPI(), hub, files.settings, certificate.context)
        with contextlib.closing(listening_on(Address("127.0.0.1", 0))) as listener:
            port = listener.getsockname()[1]
            serving = asyncio.create_task(server.run_on(listener))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                # The beginning of a ClientHello.
                writer.write(b"\x16\x03\x01\x02\x00\x01\x00")
                async with asyncio.timeout(PATIENCE_S):
                    with contextlib.suppress(ConnectionResetError):
                        assert await reader.read() == b""
            finally:
                writer.close()
                server.stop()
                await serving

    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        runner.run(connect())
