"""The program as a process, and its connections: how it ends them, TLS, proxies, and what is no request."""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
from pathlib import Path

import httpx
import pytest

from tests.integration.control_plane.asking import add_host, deploy
from tests.support.control_plane_process import (
    ControlPlaneProcess,
    run_control_plane,
    running_control_plane,
)
from tests.support.private_authority import certified


class TestStopping:
    async def test_requests_that_wait_are_answered_and_streams_end(self, tmp_path: Path) -> None:
        async with running_control_plane(tmp_path) as one, one.client() as client:
            await add_host(client)
            job_id = await deploy(client, "old-1")
            path = "/hosts/old-1/projects/blog/stop"
            waiting = asyncio.create_task(client.post(path, headers={"Prefer": "wait=60"}))
            async with client.stream("GET", f"/jobs/{job_id}/feed") as stream:
                lines = stream.aiter_lines()
                async for line in lines:
                    if line.startswith("id:"):
                        break
                while len((await client.get("/jobs")).json()["items"]) < 2:
                    pass
                one.process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(10):
                    async for _ in lines:
                        pass
            response = await waiting
            assert response.status_code == 202
            assert await one.stop() == 0

    async def test_a_second_signal_waits_for_nobody(self, tmp_path: Path) -> None:
        async with running_control_plane(tmp_path) as one:
            body = b'{"name": "web-1", '
            _, writer = await asyncio.open_connection("127.0.0.1", one.port)
            writer.write(
                b"POST /api/v1/hosts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Authorization: Bearer " + one.token.encode() + b"\r\nContent-Length: 1000\r\n\r\n"
            )
            writer.write(body)
            await writer.drain()
            async with one.client() as client:
                await client.get("/hosts")
            one.process.send_signal(signal.SIGTERM)
            await one.logged(re.compile("asked to stop"))
            one.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                assert await one.process.wait() == 0
            writer.close()


class TestTls:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> dict[str, str]:
        return certified(tmp_path)

    async def test_it_may_end_here(self, tmp_path: Path, settings: dict[str, str]) -> None:
        async with running_control_plane(tmp_path, settings=settings) as one:
            assert one.scheme == "https"
            trusted = ssl.create_default_context(cafile=tmp_path / "ca.pem")
            async with one.client(verify=trusted) as client:
                response = await client.post("/enrolments", json={"name": "web-1"})
                assert response.status_code == 201
                assert response.headers["strict-transport-security"]
                assert f"SERVER_URL=wss://127.0.0.1:{one.port}/ws" in response.json()["command"]
            with pytest.raises(httpx.ConnectError):
                async with one.client() as stranger:
                    await stranger.get("/hosts")


FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.7",
    "Host": "cp.example",
}


class TestProxies:
    async def command_of(self, one: ControlPlaneProcess) -> str:
        async with one.client() as client:
            made = await client.post(
                "/enrolments",
                json={"name": "web-1"},
                headers=FORWARDED,
            )
            command: str = made.json()["command"]
            return command

    async def test_what_a_trusted_one_says_of_the_client_counts(self, tmp_path: Path) -> None:
        settings = {"CONTROL_PLANE_TRUSTED_PROXIES": "127.0.0.1"}
        async with running_control_plane(tmp_path, settings=settings) as one:
            assert "SERVER_URL=wss://cp.example/ws" in await self.command_of(one)

    @pytest.mark.parametrize("trusted", ["", "10.0.0.1"])
    async def test_what_anybody_else_says_does_not(self, tmp_path: Path, trusted: str) -> None:
        settings = {"CONTROL_PLANE_TRUSTED_PROXIES": trusted}
        async with running_control_plane(tmp_path, settings=settings) as one:
            assert "SERVER_URL=ws://cp.example/ws" in await self.command_of(one)


async def test_a_stalled_reader_is_cut_off_when_its_token_is_replaced(tmp_path: Path) -> None:
    async with running_control_plane(tmp_path) as one, one.client() as client:
        await add_host(client)
        job_id = await deploy(client, "old-1")
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        writer.write(
            f"GET /api/v1/jobs/{job_id}/feed HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {one.token}\r\n\r\n".encode()
        )
        await reader.readuntil(b"queued")
        code, _, _ = await run_control_plane(tmp_path, ["reset-token"])
        assert code == 0
        async with asyncio.timeout(5):
            await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.close()


TWO_LENGTHS = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/v1/hosts HTTP/1.1\r\nHost: x\r\n" + TWO_LENGTHS,
    b"GET /" + b"a" * 200_000,
    b"\x00" * 1000,
]


async def test_what_is_no_request_is_refused_and_others_go_on(tmp_path: Path) -> None:
    async with running_control_plane(tmp_path) as one, one.client() as client:
        for garbage in GARBAGE:
            reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
            writer.write(garbage)
            async with asyncio.timeout(15):
                answer = await reader.read()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
            writer.close()
        assert (await client.get("/hosts")).status_code == 200
        assert "Traceback" not in one.log()
