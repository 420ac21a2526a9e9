"""Which version of the protocol a link has: the peer chooses among what the agent offers."""

from __future__ import annotations

import asyncio

import pytest

from domain.errors import TransportLost, TransportRefused
from domain.link_messages import Ending
from tests.integration.websocket.peers import (
    QUERY,
    V2,
    RawPeer,
    Script,
    answers,
    http,
    link_of,
    raw_server,
    refusal_of,
    sequenced_link_of,
    soon,
    transport_to,
)

V1 = "Sec-WebSocket-Protocol: instadeploy.v1"


def _selects(*headers: str) -> Script:
    async def script(peer: RawPeer) -> None:
        await peer.upgrade(*headers)
        await peer.read_to_the_end()

    return script


@pytest.mark.parametrize("headers", [(), (V1,)])
async def test_a_peer_that_selects_the_first_version_or_none_speaks_it(
    headers: tuple[str, ...],
) -> None:
    async with raw_server(_selects(*headers)) as server:
        link = await link_of(transport_to(server.url()))
        await soon(link.close("the test is over"))

    assert link.version == 1


async def test_a_peer_that_selects_the_second_version_speaks_it() -> None:
    async with raw_server(_selects(V2)) as server:
        link = await sequenced_link_of(transport_to(server.url()))
        await soon(link.close(Ending.GOING_AWAY, "the test is over"))

    assert link.version == 2


async def test_a_link_of_the_second_version_has_no_keepalive_of_its_own() -> None:
    async with raw_server(_selects(V2)) as server:
        before = asyncio.all_tasks()
        link = await sequenced_link_of(transport_to(server.url()))
        begun = {task for task in asyncio.all_tasks() - before if "websocket" in task.get_name()}
        await soon(link.close(Ending.GOING_AWAY, "the test is over"))

    assert begun == set()


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (["instadeploy.v3"], "selected a version of the protocol that was not offered"),
        (["INSTADEPLOY.V2"], "selected a version of the protocol that was not offered"),
        (["chat"], "selected a version of the protocol that was not offered"),
        ([QUERY], "selected a version of the protocol that was not offered"),
        (["instadeploy.v2, instadeploy.v1"], "the header Sec-WebSocket-Protocol of its answer"),
        (["instadeploy.v2", "instadeploy.v1"], "the header Sec-WebSocket-Protocol of its answer"),
        ([""], "the header Sec-WebSocket-Protocol of its answer"),
        ([","], "the header Sec-WebSocket-Protocol of its answer"),
        (["instadeploy v2"], "the header Sec-WebSocket-Protocol of its answer"),
    ],
)
async def test_a_peer_that_selects_anything_else_is_refused(headers: list[str], why: str) -> None:
    answer = [f"Sec-WebSocket-Protocol: {value}" for value in headers]
    async with raw_server(_selects(*answer)) as server:
        failure = await refusal_of(transport_to(server.url()))
        await soon((await soon(server.arrivals.get())).gone.wait())

    assert isinstance(failure, TransportRefused)
    assert why in str(failure)


async def test_an_unknown_version_is_refused_with_the_advice_to_upgrade() -> None:
    async with raw_server(_selects("Sec-WebSocket-Protocol: instadeploy.v3")) as server:
        failure = await refusal_of(transport_to(server.url()))

    assert isinstance(failure, TransportRefused)
    assert "upgrade this agent" in failure.advice


async def test_what_is_not_offered_cannot_be_selected() -> None:
    offered: list[str] = []

    async def selects_v2(peer: RawPeer) -> None:
        offered.append((await peer.upgrade(V2))["Sec-WebSocket-Protocol"])

    async with raw_server(selects_v2) as server:
        failure = await refusal_of(transport_to(server.url(), versions=(1,)))

    assert offered == ["instadeploy.v1"]
    assert isinstance(failure, TransportRefused)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", TransportRefused),
        ("426 Upgrade Required", TransportRefused),
        ("503 Service Unavailable", TransportLost),
    ],
)
async def test_a_version_in_an_answer_that_says_no_changes_nothing(
    status: str, kind: type[Exception]
) -> None:
    async with raw_server(answers(http(status, V2))) as server:
        failure = await refusal_of(transport_to(server.url()))

    assert isinstance(failure, kind)
    assert str(failure).endswith(f"answered HTTP {status[:3]}")
