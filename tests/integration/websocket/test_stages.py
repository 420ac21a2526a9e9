"""Each stage of connecting has a deadline of its own, and says in its own words that it passed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from domain.errors import TransportLost, TransportRefused
from tests.integration.websocket.peers import (
    RawPeer,
    link_of,
    listens,
    raw_server,
    soon,
    transport_to,
    upgrades,
)

STAGE_S = 0.2
ENOUGH_S = 0.6
"""A deadline within which the stages before the one that hangs are over, on a busy machine too."""


@contextlib.contextmanager
def _port_that_accepts_nothing() -> Iterator[int]:
    """A listener whose queue is full: it answers further attempts to connect with nothing at all."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def _resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    async def getaddrinfo(*_: object, **__: object) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)
            for address in addresses
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_a_network_that_swallows_everything() -> None:
    with _port_that_accepts_nothing() as port:
        transport = transport_to(f"ws://127.0.0.1:{port}/ws", stage_s=STAGE_S)
        with pytest.raises(TransportLost) as lost:
            await soon(transport.connect())

    assert str(lost.value) == f"ws://127.0.0.1:{port}/ws did not finish connecting in time"


async def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(
        TransportLost, match=r"^ws://cp\.example/ws did not finish connecting in time$"
    ):
        await soon(transport_to("ws://cp.example/ws", stage_s=STAGE_S).connect())


async def test_tls_that_is_never_answered() -> None:
    async with raw_server(listens) as server:
        url = f"wss://127.0.0.1:{server.port}/ws"
        transport = transport_to(url, tls=ssl.create_default_context(), stage_s=ENOUGH_S)
        with pytest.raises(TransportLost) as lost:
            await soon(transport.connect())
        await soon((await soon(server.arrivals.get())).gone.wait())

    assert str(lost.value) == f"{url} did not finish the TLS handshake in time"


async def test_a_handshake_that_is_never_answered() -> None:
    async with raw_server(listens) as server:
        with pytest.raises(TransportLost) as lost:
            await soon(transport_to(server.url(), stage_s=ENOUGH_S).connect())
        await soon((await soon(server.arrivals.get())).gone.wait())

    assert str(lost.value) == f"{server.url()} did not finish the WebSocket handshake in time"


async def _drip(peer: RawPeer, answer: bytes) -> None:
    await peer.request()
    for byte in answer:
        await peer.write(bytes([byte]))
        await asyncio.sleep(0.005)


async def test_a_server_that_drips_its_agreement_byte_by_byte() -> None:
    async def drips(peer: RawPeer) -> None:
        await _drip(peer, b"HTTP/1.1 101 Switching Protocols\r\nX-Filler: " + b"x" * 100_000)

    async with raw_server(drips) as server:
        with pytest.raises(TransportLost, match=r"did not finish the WebSocket handshake in time$"):
            await soon(transport_to(server.url(), stage_s=ENOUGH_S).connect())
        await soon((await soon(server.arrivals.get())).gone.wait())


async def test_a_refusal_counts_from_its_first_line_on_even_if_it_never_ends() -> None:
    async def refuses(peer: RawPeer) -> None:
        await peer.request()
        await peer.write(b"HTTP/1.1 401 Unauthorized\r\n\r\nan endless page ...")
        await peer.read_to_the_end()

    async with raw_server(refuses) as server:
        with pytest.raises(TransportRefused, match=r"answered HTTP 401$") as refused:
            await soon(transport_to(server.url(), stage_s=ENOUGH_S).connect())

    assert "AGENT_SECRET_TOKEN" in refused.value.advice


async def test_nonsense_is_called_so_even_if_the_connection_stays_open() -> None:
    async def greets(peer: RawPeer) -> None:
        await peer.write(b"220 mail.example ESMTP\r\n")
        await peer.read_to_the_end()

    async with raw_server(greets) as server:
        with pytest.raises(TransportRefused, match=r"its answer is not HTTP/1\.1$"):
            await soon(transport_to(server.url(), stage_s=ENOUGH_S).connect())


async def test_each_stage_has_all_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One clock over all stages would have run out: looking up and answering take most of it each."""

    async def getaddrinfo(_host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        await asyncio.sleep(0.4)
        address = ("127.0.0.1", port)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]

    async def upgrades_late(peer: RawPeer) -> None:
        await asyncio.sleep(0.4)
        await upgrades(peer)

    async with raw_server(upgrades_late) as server:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        transport = transport_to(server.url(host="cp.example"), stage_s=0.7)
        link = await link_of(transport)
        await link.close("the test is over")


async def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{bound.getsockname()[1]}/ws"
        with pytest.raises(TransportLost) as lost:
            await soon(transport_to(url).connect())

    assert str(lost.value) == f"{url} cannot be reached: Connection refused"


async def test_a_name_with_several_addresses_where_nobody_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as bound, socket.socket() as other:
        bound.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.2", 0))
        _resolve_to(monkeypatch, bound.getsockname(), other.getsockname())
        with pytest.raises(TransportLost) as lost:
            await soon(transport_to("ws://cp.example/ws").connect())

    assert str(lost.value) == "ws://cp.example/ws cannot be reached: Connection refused"


async def test_a_name_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(TransportLost, match=r"cannot be reached: Name or service not known$"):
        await soon(transport_to("ws://cp.example/ws").connect())


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "b\u00fc..example"])
async def test_a_name_that_cannot_exist_is_a_matter_for_a_person(host: str) -> None:
    with pytest.raises(TransportRefused, match=r"is no address that can be looked up$") as refused:
        await soon(transport_to(f"ws://{host}/ws").connect())

    assert refused.value.advice == "check the host in SERVER_URL"


async def test_an_address_that_is_silent_does_not_keep_the_next_one_from_being_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with _port_that_accepts_nothing() as silent:
        async with raw_server(upgrades) as server:
            _resolve_to(monkeypatch, ("127.0.0.1", silent), ("127.0.0.1", server.port))
            link = await link_of(transport_to("ws://cp.example/ws"))
            await link.close("the test is over")
