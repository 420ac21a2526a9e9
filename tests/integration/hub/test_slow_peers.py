"""Agents that do not read, read slowly, or say nothing; and a control plane that goes away."""

from __future__ import annotations

import asyncio
import socket

import pytest

from adapters.websocket.hub_socket import AgentSocket
from application.control_plane.sequenced_host import SequencedHost
from domain.fleet.host import Host
from domain.fleet.host_effects import LinkEnd
from tests.builders import deploy
from tests.support.chaos_proxy import ChaosProxy
from tests.support.fleet_program import TOKEN
from tests.support.hub_server import HubServer, hub_server
from tests.support.raw_socket import CLOSE, PING, RawSocket, frame, raw_socket
from tests.support.scripted_agent import hello, scripted_agent

LARGE = b"services: {web: {image: x}}\n" + b"#" * 1_000_000


async def welcomed(server: HubServer, one: RawSocket) -> None:
    assert await one.request() == 101
    await one.read()
    one.say(hello())
    assert (await one.read())["type"] == "WELCOME"


async def test_an_agent_that_does_not_read_is_put_out_and_nobody_waits_for_it(
    server: HubServer,
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "application.control_plane.sequenced_host")
    monkeypatch.setattr("adapters.websocket.hub_connection.SLOW_LOOK_S", 0.5)
    monkeypatch.setattr("adapters.websocket.hub_connection.CLOSE_S", 0.2)
    other = await server.program.add_host("other", token="other")
    async with (
        raw_socket(server.port, receive_buffer=4096) as slow,
        scripted_agent(server.url, token="other") as quick,
    ):
        await welcomed(server, slow)
        await quick.hello()
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        owner = server.program.live._links[host.id]
        assert isinstance(owner, SequencedHost)
        for number in range(1, 20):  # The machine takes some megabytes for it.
            await server.program.submit(host, deploy("big", LARGE))
            await server.until(lambda n=number: owner.session.sent == n, "it is sent")
            if not owner.link.is_writable:
                break
            slow.say({"type": "ACK", "ack": number})
        job = await server.program.submit(other)
        assert (await quick.receive())["id"] == job.id
        await server.until(lambda: not server.program.live.is_online(host.id), "it is put out")
        assert server.program.live.is_online(other.id)
        await server.until(lambda: server.program.tools.sending.total == 0, "nothing is held")
    assert "4408: what was sent is not read" in caplog.text


async def test_an_agent_that_reads_slowly_gets_everything(
    server: HubServer, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.websocket.hub_connection.SLOW_LOOK_S", 0.5)
    async with raw_socket(server.port) as slow:
        await welcomed(server, slow)
        job = await server.program.submit(host, deploy("big", LARGE))
        got = b""
        while len(got) < 1_000_000:
            got += await slow.reader.read(100_000)
            await asyncio.sleep(0.05)
        assert job.id.encode() in got
        assert server.program.live.is_online(host.id)


async def test_who_pings_and_does_not_read_is_put_out(
    server: HubServer, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.websocket.hub_connection.CLOSE_S", 0.2)
    async with raw_socket(server.port) as slow:
        await welcomed(server, slow)
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        ping = frame(b"x" * 125, PING) * 1000

        async def flood() -> None:
            while True:
                slow.send(ping)
                await slow.writer.drain()

        flooding = asyncio.create_task(flood())
        await server.until(lambda: not server.program.live.is_online(host.id), "it is put out")
        flooding.cancel()
        await asyncio.wait([flooding])


async def test_who_does_not_answer_a_close_is_cut_off(
    server: HubServer, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.websocket.hub_connection.CLOSE_S", 0.3)
    async with raw_socket(server.port) as one:
        await welcomed(server, one)
        server.program.live.dismiss(host.id)
        assert (await one.read())["type"] == "BYE"
        assert await one.read_frame() == (
            CLOSE,
            (4403).to_bytes(2, "big") + b"what this agent has "
            b"proven itself with is not good any more",
        )
        await server.until(lambda: server.connections == 0, "it is cut off")


async def test_revoking_ends_a_link_at_once(server: HubServer, host: Host) -> None:
    async with scripted_agent(server.url, token=TOKEN) as agent:
        await agent.hello()
        server.program.live.dismiss(host.id)
        assert (await agent.receive())["type"] == "BYE"
        assert await agent.closed() == 4403


async def test_a_newer_link_replaces_an_older(server: HubServer, host: Host) -> None:
    async with (
        scripted_agent(server.url, token=TOKEN) as older,
        scripted_agent(server.url, token=TOKEN) as newer,
    ):
        await older.hello()
        await newer.hello(peer_epoch=server.program.fleet.jobs.epoch)
        assert (await older.receive())["type"] == "BYE"
        assert await older.closed() == 4409
        job = await server.program.submit(host)
        assert (await newer.receive())["id"] == job.id


async def test_clones_are_noticed_by_their_answers(server: HubServer, host: Host) -> None:
    for _ in range(5):
        async with (
            scripted_agent(server.url, token=TOKEN) as one,
            scripted_agent(server.url, token=TOKEN) as another,
        ):
            await one.hello(peer_epoch="epoch-1")
            await another.hello(peer_epoch="epoch-1")
            assert await one.closed() == 4409
    await server.until(
        lambda: server.program.fleet.state.hosts[host.id].clone_suspected_at is not None,
        "a clone is suspected",
    )


async def test_a_link_of_which_both_directions_are_dead_is_given_up(
    server: HubServer, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.fleet.host_session.SILENCE_S", 0.5)
    async with (
        ChaosProxy(server.port) as proxy,
        scripted_agent(proxy.url, token=TOKEN) as agent,
    ):
        await agent.hello()
        proxy.freeze("up", "down")
        await server.until(lambda: not server.program.live.is_online(host.id), "it is given up")
        await server.until(lambda: server.connections == 0, "and the connection is cut")


async def test_stopping_says_goodbye_to_everybody(host: Host, server: HubServer) -> None:
    async with (
        hub_server() as stopping,
        raw_socket(stopping.port) as idle,
        raw_socket(stopping.port) as unproven,
    ):
        await stopping.program.add_host()
        await stopping.program.add_host("plain", token="plain")
        assert await unproven.request() == 101
        assert (await unproven.read())["type"] == "CHALLENGE"
        async with (
            scripted_agent(stopping.url, token=TOKEN) as agent,
            raw_socket(stopping.port) as plain,
        ):
            await agent.hello()
            assert (
                await plain.request(Sec_WebSocket_Protocol=None, Authorization="Bearer plain")
                == 101
            )
            stopping.stop()
            # All at once: who does not answer is cut off soon.
            codes = await asyncio.gather(
                agent.closed(), plain.close_code(), unproven.close_code(), idle.ended()
            )
            assert list(codes) == [4503, 1001, 4503, b""]


async def test_all_ends_have_their_codes(server: HubServer, host: Host) -> None:
    codes = {
        LinkEnd.VIOLATION: 4400,
        LinkEnd.UNPROVEN: 4401,
        LinkEnd.TOO_SLOW: 4408,
        LinkEnd.TOO_MUCH: 4429,
        LinkEnd.GOING_AWAY: 4503,
        LinkEnd.BROKEN: 1011,
    }
    for end, code in codes.items():
        async with scripted_agent(server.url, token=TOKEN) as agent:
            await agent.hello(peer_epoch=server.program.fleet.jobs.epoch)
            server.program.live.dismiss(host.id, end)
            assert await agent.closed() == code


async def test_a_link_of_which_one_direction_is_dead_is_noticed_by_the_kernel(
    server: HubServer, host: Host
) -> None:
    async with raw_socket(server.port) as one:
        await welcomed(server, one)
        (connection,) = [each for each in server.sockets() if isinstance(each, AgentSocket)]
        assert connection._transport is not None
        link = connection._transport.get_extra_info("socket")
        found = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert found == 28_000, "with a heartbeat of 15 s, together less than 45 s"
