"""The network that the agent is tested in: everything that it can do to a connection, once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support.chaos_plan import (
    DOWN,
    UP,
    Cut,
    Delay,
    Direction,
    Duplicate,
    Freeze,
    How,
    Reorder,
    Slice,
    Swallow,
    anything,
    nth,
    of_type,
)
from tests.support.chaos_proxy import ChaosProxy, Outage
from tests.support.peer_database import PeerDatabase
from tests.support.ports import reserved_port
from tests.support.reference_peer import ReferencePeer
from tests.support.scripted_agent import scripted_agent, welcomed_agent

PATIENCE_S = 20.0


class Echo:
    """A server that says again what it hears, and keeps it."""

    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.failure: ConnectionClosed | None = None
        self.over = asyncio.Event()
        self.port = 0

    async def handle(self, connection: ServerConnection) -> None:
        try:
            while True:
                self.heard.append(await connection.recv())
                await connection.send(self.heard[-1])
        except ConnectionClosed as failure:
            self.failure = failure
            self.over.set()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    one = Echo()
    async with serve(
        one.handle, "127.0.0.1", 0, ping_interval=None, max_size=None, compression=None
    ) as server:
        one.port = next(iter(server.sockets)).getsockname()[1]
        yield one


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[ChaosProxy]:
    async with ChaosProxy(echo.port) as one:
        yield one


class Client:
    """An end that says texts and collects what comes back, through the proxy."""

    def __init__(self, url: str) -> None:
        self._connecting = connect(
            url, ping_interval=None, max_size=None, close_timeout=0.5, compression=None, proxy=None
        )

    async def __aenter__(self) -> Client:
        self.connection = await self._connecting.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self.connection.send(text)

    async def hear(self, count: int) -> list[str | bytes]:
        async with asyncio.timeout(PATIENCE_S):
            return [await self.connection.recv() for _ in range(count)]

    async def failure(self) -> BaseException | None:
        """What ended the connection under it."""
        with pytest.raises(ConnectionClosed) as caught:
            await self.hear(100)
        return caught.value.__cause__


async def test_what_nobody_disturbs_passes_as_it_is(proxy: ChaosProxy) -> None:
    texts = ["", "x", "y" * 126, "\u00fc" * 70_000]
    async with Client(proxy.url) as client:
        await client.say(*texts)
        assert await client.hear(4) == texts
        await client.connection.send(["in ", "fragments"])
        await (await client.connection.ping())
        assert await client.hear(1) == ["in fragments"]
        await client.connection.close(4400, "the code passes too")
    assert client.connection.close_code == 4400
    assert proxy.injected == {}
    await asyncio.wait_for(proxy.connections[0].over.wait(), PATIENCE_S)


async def test_a_message_comes_twice(proxy: ChaosProxy) -> None:
    proxy.on(UP, nth(2), Duplicate())
    proxy.on(DOWN, nth(1), Duplicate(3))
    async with Client(proxy.url) as client:
        await client.say("a", "b", "c")
        assert await client.hear(6) == ["a", "a", "a", "b", "b", "c"]
    assert proxy.injected == {"duplicate": 2}


async def test_a_message_is_swallowed(proxy: ChaosProxy) -> None:
    rule = proxy.on(UP, anything, Swallow(), times=2)
    async with Client(proxy.url) as client:
        await client.say("a", "b", "c")
        assert await client.hear(1) == ["c"]
    assert rule.count == proxy.injected["swallow"] == 2


async def test_two_messages_change_places(proxy: ChaosProxy) -> None:
    proxy.on(UP, nth(1), Reorder(PATIENCE_S))
    async with Client(proxy.url) as client:
        await client.say("a")
        await (await client.connection.ping())  # Not what it waits for.
        await client.say("b", "c")
        assert await client.hear(3) == ["b", "a", "c"]
    assert proxy.injected == {"reorder": 1}


async def test_a_message_behind_which_nothing_comes_keeps_its_place(proxy: ChaosProxy) -> None:
    proxy.on(UP, nth(1), Reorder(0.01))
    async with Client(proxy.url) as client:
        await client.say("a")
        assert await client.hear(1) == ["a"]
    proxy.on(UP, nth(1), Reorder(PATIENCE_S))
    async with Client(proxy.url) as client:
        await client.say("b")
    assert proxy.injected == {}


async def test_a_message_is_late_and_so_is_all_behind_it(proxy: ChaosProxy) -> None:
    loop = asyncio.get_running_loop()
    proxy.on(UP, nth(1), Delay(0.05))
    async with Client(proxy.url) as client:
        begun = loop.time()
        await client.say("a", "b")
        assert await client.hear(2) == ["a", "b"]
        assert loop.time() - begun >= 0.05
    assert proxy.injected == {"delay": 1}


@pytest.mark.parametrize("size", [1, 3])
async def test_a_message_comes_in_slices(proxy: ChaosProxy, size: int) -> None:
    proxy.on(UP, anything, Slice(size), times=None)
    async with Client(proxy.url) as client:
        await client.say("abcdefgh", "x" * 300)
        assert await client.hear(2) == ["abcdefgh", "x" * 300]
    assert proxy.injected == {"slice": 2}


@pytest.mark.parametrize(("where", "heard"), [("before", []), ("middle", []), ("after", ["b"])])
@pytest.mark.parametrize(("how", "failure"), [("rst", ConnectionResetError), ("fin", EOFError)])
async def test_the_connection_is_cut_at_a_message(
    proxy: ChaosProxy, echo: Echo, where: str, heard: list[str], how: How, failure: type
) -> None:
    rule = proxy.on(UP, nth(2), Cut(where, how))  # type: ignore[arg-type]
    async with Client(proxy.url) as client:
        await client.say("a")
        assert await client.hear(1) == ["a"]
        await client.say("b")
        await rule.fired()
        assert isinstance(await client.failure(), failure)
        await echo.over.wait()
    assert echo.heard == ["a", *heard]
    assert echo.failure is not None
    assert isinstance(echo.failure.__cause__, failure)
    assert proxy.injected == {"cut": 1}


async def test_all_connections_are_cut_at_a_word(proxy: ChaosProxy) -> None:
    async with Client(proxy.url) as one, Client(proxy.url) as other:
        proxy.cut()
        assert isinstance(await one.failure(), ConnectionResetError)
        assert isinstance(await other.failure(), ConnectionResetError)
    assert proxy.injected == {"cut": 2}


@pytest.mark.parametrize("direction", [UP, DOWN])
async def test_one_direction_freezes_and_thaws(
    proxy: ChaosProxy, echo: Echo, direction: Direction
) -> None:
    rule = proxy.on(direction, nth(2), Freeze())
    async with Client(proxy.url) as client:
        await client.say("a", "b")
        assert await client.hear(1) == ["a"]
        await rule.fired()
        assert echo.heard == (["a"] if direction == UP else ["a", "b"])
        pong = asyncio.ensure_future(await client.connection.ping())
        await client.say("c")
        assert not pong.done()
        proxy.thaw()
        assert await client.hear(2) == ["b", "c"]
        await pong
    assert proxy.injected == {"freeze": 1}


async def test_a_frozen_network_takes_what_the_kernel_takes_and_no_more(proxy: ChaosProxy) -> None:
    async with Client(proxy.url) as client:
        await proxy.connected(1)
        proxy.freeze(UP, DOWN)
        transport = client.connection.transport
        transport.set_write_buffer_limits(high=1 << 30)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        await client.say(*["x" * 100_000] * 32)
        assert transport.get_write_buffer_size() > 0
        proxy.thaw()
        assert len(await client.hear(32)) == 32


async def test_a_closed_port_refuses_and_opens_again(proxy: ChaosProxy) -> None:
    async with Client(proxy.url) as before:
        await proxy.outage(Outage.REFUSED)
        with pytest.raises(ConnectionRefusedError):
            await Client(proxy.url).__aenter__()
        await before.say("still here")
        assert await before.hear(1) == ["still here"]
    await proxy.restore()
    async with Client(proxy.url) as client:
        await client.say("back")
        assert await client.hear(1) == ["back"]


async def test_a_black_hole_takes_and_never_answers(proxy: ChaosProxy) -> None:
    await proxy.outage(Outage.BLACK_HOLE)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    answer = asyncio.create_task(reader.read(1))
    await proxy.has_injected("black_hole")
    await proxy.restore()
    async with Client(proxy.url) as client:
        await client.say("back")
        assert await client.hear(1) == ["back"]
    assert not answer.done()
    assert proxy.injected == {"black_hole": 1}
    writer.close()
    assert await answer == b""


async def test_a_handshake_is_reset(proxy: ChaosProxy) -> None:
    await proxy.outage(Outage.RESET)
    with pytest.raises((ConnectionError, InvalidHandshake)):
        await Client(proxy.url).__aenter__()
    assert proxy.injected == {"reset": 1}


async def test_a_control_plane_that_is_down_is_a_reset(proxy: ChaosProxy) -> None:
    with reserved_port() as nobody:
        proxy.upstream_port = nobody
        with pytest.raises((ConnectionError, InvalidHandshake)):
            await Client(proxy.url).__aenter__()


async def test_the_protocol_survives_what_a_network_does_to_its_messages() -> None:
    database = PeerDatabase()
    async with ReferencePeer(database) as peer, ChaosProxy(peer.port) as proxy:
        proxy.on(DOWN, of_type("STOP_COMPOSE"), Duplicate())
        proxy.on(UP, of_type("ACCEPT"), Swallow())
        cut = proxy.on(UP, nth(5), Cut("after"))
        async with welcomed_agent(proxy.url) as agent:
            job_id = await peer.submit("STOP_COMPOSE", {"project_name": "p"})
            command = await agent.expect("STOP_COMPOSE")
            assert await agent.expect("STOP_COMPOSE") == command
            await agent.accept(job_id)  # It is swallowed,
            await agent.finish(job_id)
            assert (await agent.expect("NACK"))["expected"] == 1
            agent.seq = 0
            await agent.accept(job_id)
            await agent.finish(job_id)  # and with this the connection ends.
            await cut.fired()
            await peer.final(job_id)
            assert await agent.closed() is None
        async with scripted_agent(proxy.url) as agent:
            welcome = await agent.hello(peer_epoch=database.epoch, last_seq_seen=1)
            assert welcome["last_seq_seen"] == 2
        assert database.seen == {"gap": 1}
        assert proxy.injected == {"duplicate": 1, "swallow": 1, "cut": 1}
