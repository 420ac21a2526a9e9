"""Frames of agents: those that break a rule end their own link, or are answered, and disturb nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator

import pytest

from domain.fleet.host import Host
from tests.support.fleet_program import TOKEN
from tests.support.hub_server import HubServer
from tests.support.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, RawSocket, frame, raw_socket
from tests.support.scripted_agent import ScriptedAgent, hello, scripted_agent

CONT = 0
MEBIBYTE = 1 << 20


@pytest.fixture
async def bystander(server: HubServer, host: Host) -> AsyncIterator[ScriptedAgent]:
    """Another host's agent, that is to notice nothing."""
    await server.program.add_host("bystander", token="bystander")
    async with scripted_agent(server.url, token="bystander") as agent:
        await agent.hello()
        yield agent
        await agent.send("NACK", expected=1)
        await agent.finish("no-such-job")
        assert (await agent.receive())["type"] == "ERROR", "it is heard and answered"


@pytest.fixture
async def agent(
    server: HubServer, host: Host, bystander: ScriptedAgent
) -> AsyncIterator[RawSocket]:
    async with raw_socket(server.port) as one:
        assert await one.request() == 101
        assert (await one.read())["type"] == "CHALLENGE"
        one.say(hello())
        assert (await one.read())["type"] == "WELCOME"
        yield one


async def still_here(server: HubServer, agent: RawSocket, host: Host) -> None:
    """The link is up, and works."""
    job = await server.program.submit(host)
    message = await agent.read()
    assert message["id"] == job.id


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"type": NaN}', "no JSON number"),
        ('{"type": "ACK", "type": "ACK", "ack": 0}', "the same key twice"),
        ('{"type": "WHAT"}', "must be one of"),
        ('{"type": 7}', "must be a string"),
        ('{"type": "ACK", "ack": 1.0}', "whole number"),
        ('{"type": "ACCEPT", "seq": 0, "job_id": "x", "state": "accepted"}', "seq"),
        ("[" * 100_000, "nested deeper than 32 levels"),
        ('{"type": "HEARTBEAT", "facts": ' + '{"a":' * 40 + "1" + "}" * 41, "nested deeper"),
        (b'{"type": "BYE", "reason": "\xff"}', "not valid UTF-8"),
        ("1" * 10_000, "too long"),
    ],
)
async def test_what_is_no_message_is_answered_and_changes_nothing(
    server: HubServer, agent: RawSocket, host: Host, message: str | bytes, error: str
) -> None:
    agent.say(message)
    answer = await agent.read()
    assert answer["type"] == "ERROR"
    assert error in answer["error"]
    await still_here(server, agent, host)


async def test_a_binary_message_is_none(server: HubServer, agent: RawSocket, host: Host) -> None:
    agent.say({"type": "ACK", "ack": 0}, BINARY)
    answer = await agent.read()
    assert (answer["type"], answer["code"]) == ("ERROR", "protocol_remote")
    await still_here(server, agent, host)


async def test_unknown_fields_are_ignored(server: HubServer, agent: RawSocket, host: Host) -> None:
    agent.say({"type": "ACK", "ack": 0, "colour": {"is": ["blue"]}})
    await still_here(server, agent, host)


async def test_a_message_may_come_in_pieces_with_pings_between_them(
    server: HubServer, agent: RawSocket, host: Host
) -> None:
    message = json.dumps({"type": "WHAT", "text": "x" * 1000}).encode()
    agent.send(frame(message[:10], fin=False))
    agent.send(frame(b"hello", PING))
    for place in range(10, len(message)):
        last = place == len(message) - 1
        agent.send(frame(message[place : place + 1], CONT, fin=last))
    assert await agent.read_frame() == (PONG, b"hello")
    assert (await agent.read())["type"] == "ERROR"
    await still_here(server, agent, host)


async def test_a_message_may_have_a_mebibyte(
    server: HubServer, agent: RawSocket, host: Host
) -> None:
    start = b'{"type": "WHAT", "text": "'
    agent.say(start + b"x" * (MEBIBYTE - len(start) - 2) + b'"}')
    assert "must be one of" in (await agent.read())["error"]
    await still_here(server, agent, host)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(b"x" * (MEBIBYTE + 1))], 1009),
        ([frame(b"", length=1 << 32)], 1009),
        ([frame(b"", length=(1 << 63) - 1)], 1009),
        ([frame(b"x" * MEBIBYTE, fin=False), frame(b"x", CONT)], 1009),
        ([frame(b"x", fin=False)] + [frame(b"x", CONT, fin=False)] * 5000, 1009),
        ([frame(b"x", CONT)], 1002),
        ([frame(b"x", fin=False), frame(b"x")], 1002),
        ([b"\x81\x01x"], 1002),
        ([b"\xf1\x80\0\0\0\0"], 1002),
        ([b"\x83\x80\0\0\0\0"], 1002),
        ([frame(b"x" * 126, PING)], 1002),
        ([frame(b"", PING, fin=False)], 1002),
        ([frame(b"\x03\xe8\xff", CLOSE)], 1007),
    ],
    ids=[
        "too big",
        "says that it has 4 GiB",
        "says that it has 8 EiB",
        "too big in pieces",
        "too many pieces",
        "the middle of nothing",
        "a message within a message",
        "not masked",
        "compressed",
        "of no known kind",
        "a long ping",
        "a ping in pieces",
        "a reason that is no text",
    ],
)
async def test_what_breaks_the_rules_of_websockets_ends_the_link(
    server: HubServer, agent: RawSocket, frames: list[bytes], code: int
) -> None:
    for one in frames:
        agent.send(one)
    assert await agent.close_code() == code
    await server.until(
        lambda: server.program.live.online() == {2: 1}, "only the other one is there"
    )


async def test_random_bytes_end_the_link(server: HubServer, agent: RawSocket) -> None:
    agent.send(random.Random(5).randbytes(100_000))
    assert await agent.close_code() in (1002, 1009)


@pytest.mark.parametrize(
    "message",
    [
        hello(),
        {"type": "ACK", "ack": 7},
        {"type": "NACK", "expected": 7},
        {"type": "ACCEPT", "seq": 1, "job_id": "x", "state": "accepted", "ack": 7},
    ],
    ids=["HELLO again", "ACK of nothing", "NACK of nothing", "ack of nothing"],
)
async def test_what_violates_the_protocol_ends_the_link(
    agent: RawSocket, message: dict[str, object]
) -> None:
    agent.say(message)
    assert (await agent.read())["type"] == "BYE"
    assert await agent.close_code() == 4400


async def test_a_number_that_is_left_out_is_asked_for(
    server: HubServer, agent: RawSocket, host: Host
) -> None:
    jobs = [await server.program.submit(host) for _ in range(2)]
    for job in jobs:
        assert (await agent.read())["id"] == job.id
    accept = {"type": "ACCEPT", "state": "accepted", "ack": 2}
    agent.say(accept | {"seq": 2, "job_id": jobs[1].id})
    assert await agent.read() == {"type": "NACK", "expected": 1, "ack": 0}
    agent.say(accept | {"seq": 1, "job_id": jobs[0].id})
    agent.say(accept | {"seq": 2, "job_id": jobs[1].id})
    message = await agent.read()
    while message != {"type": "ACK", "ack": 2}:
        assert message == {"type": "ACK", "ack": 1}
        message = await agent.read()


async def test_an_agent_that_floods_is_put_out(server: HubServer, agent: RawSocket) -> None:
    flood = frame(b'{"type": "HEARTBEAT", "facts": {}}') * 3000
    agent.send(flood)
    assert await agent.close_code() == 4429


async def test_one_that_reports_what_a_restored_database_does_not_know_is_not(
    server: HubServer, host: Host
) -> None:
    async with scripted_agent(server.url, token=TOKEN) as agent:
        await agent.hello(peer_epoch="before", last_seq_seen=9)
        for number in range(300):
            await agent.finish(f"forgotten-{number}")
        while (await agent.receive()).get("ack") != 300:
            pass  # It is told of each, too.
        assert (await server.program.fleet.jobs.standing(host.id)).link.heard == 300
        assert server.program.live.is_online(host.id)


async def test_an_agent_that_floods_with_garbage_is_put_out(agent: RawSocket) -> None:
    agent.send(frame(b"x") * 5000)
    assert await agent.close_code() == 4429


async def test_a_close_is_answered(server: HubServer, agent: RawSocket) -> None:
    agent.send(frame(b"\x03\xe9bye", CLOSE))
    assert await agent.read_frame() == (CLOSE, b"\x03\xe9bye")
    assert await agent.ended() == b""
    await server.until(lambda: server.program.live.online() == {2: 1}, "it is gone")


async def test_bye_is_answered_with_a_close(agent: RawSocket) -> None:
    agent.say({"type": "BYE", "reason": "stopping"})
    assert await agent.close_code() == 1000


async def test_text_of_v1_may_be_binary_and_what_is_useless_ends_nothing(
    server: HubServer, host: Host, bystander: ScriptedAgent
) -> None:
    async with raw_socket(server.port) as agent:
        assert await agent.request(Sec_WebSocket_Protocol=None, Authorization=f"Bearer {TOKEN}")
        job = await server.program.submit(host)
        assert (await agent.read())["id"] == job.id
        for useless in ("{", "[]", '{"job_id": "x"}', '{"job_id": "x", "status": "DONE"}'):
            agent.say(useless)
        agent.say({"job_id": job.id, "status": "IN_PROGRESS", "logs": "..."}, BINARY)
        agent.say({"job_id": job.id, "status": "COMPLETED", "error": None, "data": None}, TEXT)
        await server.until(
            lambda: server.program.fleet.state.kept(job.id).job.is_over, "it is over"
        )
        assert (await server.program.job(job)).state.value == "succeeded"


async def test_strangers_can_fill_only_so_much_memory(
    server: HubServer, bystander: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.websocket.hub_socket.MOST_FROM_STRANGERS", 500_000)
    async with raw_socket(server.port) as one, raw_socket(server.port) as another:
        for stranger, size in ((one, 300_000), (another, 250_000)):
            assert await stranger.request() == 101
            await stranger.read()
            stranger.send(frame(b"x" * size, length=MEBIBYTE))
        assert await one.close_code() is None
        async with scripted_agent(server.url, token=TOKEN) as agent:
            await agent.hello()
        another.send(b"x" * 250_001)
        assert await another.close_code() is None


async def test_an_agent_that_says_little_comes_in_whatever_strangers_hold(
    server: HubServer, bystander: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with contextlib.AsyncExitStack() as strangers:
        for _ in range(5):
            stranger = await strangers.enter_async_context(raw_socket(server.port))
            assert await stranger.request() == 101
            await stranger.read()
            stranger.send(frame(b"x" * 100_000, length=MEBIBYTE))
        await server.until(lambda: server.hub.from_strangers >= 500_000, "all of it is there")
        monkeypatch.setattr("adapters.websocket.hub_socket.MOST_FROM_STRANGERS", 400_000)
        for _ in range(20):
            async with scripted_agent(server.url, token=TOKEN) as agent:
                await agent.hello(hostname="h" * 250)


async def test_to_v1_a_pong_says_that_what_came_before_it_is_safe(
    server: HubServer, host: Host
) -> None:
    async with raw_socket(server.port) as agent:
        assert await agent.request(Sec_WebSocket_Protocol=None) == 101
        job = await server.program.submit(host)
        assert (await agent.read())["id"] == job.id
        server.program.fleet.reach.hold()
        final = json.dumps({"job_id": job.id, "status": "COMPLETED", "logs": ""}).encode()
        agent.send(frame(final) + frame(b"safe?", PING))
        async with asyncio.timeout(10):
            await server.program.fleet.reach.is_held.wait()
        agent.send(frame(b"and now?", PING))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await agent.reader.read(1)
        assert not server.program.fleet.state.jobs[job.id].job.is_over
        server.program.fleet.reach.release()
        assert await agent.read_frame() == (PONG, b"safe?")
        assert await agent.read_frame() == (PONG, b"and now?")
        assert server.program.fleet.state.jobs[job.id].job.is_over
        agent.send(frame(b"at once", PING))
        assert await agent.read_frame() == (PONG, b"at once")
