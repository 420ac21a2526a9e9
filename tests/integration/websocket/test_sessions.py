"""The agent over a real socket: sessions that come and go, floods, and results that must arrive."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from adapters.wire.codec import MAX_FRAME_BYTES
from application.agent.handling import Completed, Outcome
from application.agent.outbox import Outbox
from application.agent.room import DispatchLimits
from domain.commands import CheckHealth
from domain.events import Event
from tests.contracts.transport import command
from tests.integration.websocket.agents import HurriedClock, healthy, running_agent
from tests.integration.websocket.peers import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawPeer,
    answers,
    frame,
    header,
    http,
    raw_server,
    soon,
    transport_to,
)


async def _next_response(peer: RawPeer, *, pongs: bool = True) -> dict[str, Any]:
    """The next response; pings that come before it are answered, or not."""
    while (received := await peer.receive()).opcode != TEXT:
        if received.opcode == PING and pongs:
            await peer.write(frame(PONG, received.payload))
    return received.response


async def test_delays_follow_the_series_while_a_server_closes_at_once() -> None:
    clock = HurriedClock()

    async def closes_at_once(peer: RawPeer) -> None:
        await peer.upgrade()
        peer.writer.close()

    async with (
        raw_server(closes_at_once) as server,
        running_agent(transport_to(server.url()), {CheckHealth: healthy}, clock=clock),
    ):
        waits = [await soon(clock.waits.get()) for _ in range(9)]

    assert waits == [1, 2, 4, 8, 16, 32, 64, 120, 120]


async def test_a_server_that_asks_for_patience_gets_it() -> None:
    clock = HurriedClock()
    busy = answers(http("503 Service Unavailable", "Retry-After: 50"))
    async with (
        raw_server(busy) as server,
        running_agent(transport_to(server.url()), {}, clock=clock),
    ):
        waits = [await soon(clock.waits.get()) for _ in range(8)]

    assert waits == [50, 50, 50, 50, 50, 50, 64, 120]


async def test_a_refused_token_is_tried_again_slowly_and_for_ever() -> None:
    clock = HurriedClock()
    async with (
        raw_server(answers(http("401 Unauthorized"))) as server,
        running_agent(transport_to(server.url()), {}, clock=clock),
    ):
        waits = [await soon(clock.waits.get()) for _ in range(3)]

    assert waits == [120, 120, 120]


async def test_a_result_whose_arrival_was_not_proven_is_sent_again_and_then_no_more() -> None:
    seen: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()

    async def first(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(frame(TEXT, command("job-1").encode()))
        seen.put_nowait([await _next_response(peer, pongs=False) for _ in range(2)])
        peer.writer.transport.abort()

    async def second(peer: RawPeer) -> None:
        await peer.upgrade()
        responses = [await _next_response(peer)]
        await peer.write(frame(TEXT, command("job-2").encode()))
        responses += [await _next_response(peer) for _ in range(2)]
        # The answer to this ping leaves after all pongs: both results are confirmed then.
        await _answer_until_confirmed(peer)
        seen.put_nowait(responses)
        peer.writer.transport.abort()

    async def third(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(frame(TEXT, command("job-3").encode()))
        seen.put_nowait([await _next_response(peer)])

    scripts = iter([first, second, third])

    async def in_turn(peer: RawPeer) -> None:
        await next(scripts)(peer)

    async with (
        raw_server(in_turn) as server,
        running_agent(transport_to(server.url()), {CheckHealth: healthy}),
    ):
        told = [[(r["job_id"], r["status"]) for r in await soon(seen.get())] for _ in range(3)]

    assert told == [
        [("job-1", "IN_PROGRESS"), ("job-1", "COMPLETED")],
        [("job-1", "COMPLETED"), ("job-2", "IN_PROGRESS"), ("job-2", "COMPLETED")],
        [("job-3", "IN_PROGRESS")],
    ]


async def _answer_until_confirmed(peer: RawPeer) -> None:
    """Answer the one ping that asks whether what was sent last has been read."""
    ping = await peer.receive()
    assert ping.opcode == PING
    await peer.write(frame(PONG, ping.payload) + frame(PING, b"have you heard?"))
    while (await peer.receive()).opcode != PONG:
        pass


async def test_a_job_goes_on_while_there_is_no_link_and_its_result_comes_on_the_next() -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    async def slow(_: CheckHealth, /) -> Outcome:
        started.set()
        await may_end.wait()
        return Completed("it took its time")

    results: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def first(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(frame(TEXT, command("job-1").encode()))
        await started.wait()
        peer.writer.transport.abort()

    async def second(peer: RawPeer) -> None:
        await peer.upgrade()
        may_end.set()
        results.put_nowait(await _next_response(peer))

    scripts = iter([first, second])

    async def in_turn(peer: RawPeer) -> None:
        await next(scripts)(peer)

    async with (
        raw_server(in_turn) as server,
        running_agent(transport_to(server.url()), {CheckHealth: slow}),
    ):
        result = await soon(results.get())

    assert (result["job_id"], result["logs"]) == ("job-1", "it took its time")


async def test_a_message_over_the_limit_is_answered_with_1009_and_a_reconnect() -> None:
    async def too_much(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(header(TEXT, MAX_FRAME_BYTES + 1))
        assert (await peer.receive()).close_code == 1009
        peer.writer.close()

    async with raw_server(too_much) as server, running_agent(transport_to(server.url()), {}):
        for _ in range(3):
            await soon(server.arrivals.get())


async def test_a_server_that_says_goodbye_is_dialled_again() -> None:
    async def says_goodbye(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(frame(CLOSE, b"\x03\xe8"))
        assert (await peer.receive()).close_code == 1000
        peer.writer.close()

    async with raw_server(says_goodbye) as server, running_agent(transport_to(server.url()), {}):
        for _ in range(3):
            await soon(server.arrivals.get())


Answer = tuple[str, str, str | None]
"""A response's id, status and machine-readable reason."""

LONG = "x" * 200
"""Makes an id long, so that a flood of responses does not fit into the kernel's buffers."""


async def _collect(peer: RawPeer, count: int) -> Counter[Answer]:
    """So many responses."""
    counted: Counter[Answer] = Counter()
    for _ in range(count):
        response = await _next_response(peer)
        reason = response.get("data", {}).get("reason")
        counted[response["job_id"], response["status"], reason] += 1
    return counted


def _flood(count: int) -> bytes:
    return b"".join(frame(TEXT, command(f"{n}{LONG}").encode()) for n in range(count))


def _answers(ids: range, status: str, reason: str | None = None) -> Counter[Answer]:
    return Counter((f"{n}{LONG}", status, reason) for n in ids)


@pytest.fixture
async def at_full_speed() -> None:
    """Without asyncio's debug mode, which makes floods ten times as slow."""
    asyncio.get_running_loop().set_debug(False)


@pytest.mark.usefixtures("at_full_speed")
async def test_a_thousand_pipelined_health_checks_are_all_answered() -> None:
    answered: asyncio.Queue[Counter[Answer]] = asyncio.Queue()

    async def pipelines(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.write(_flood(1000))
        answered.put_nowait(await _collect(peer, 2000))

    async with (
        raw_server(pipelines) as server,
        running_agent(transport_to(server.url()), {CheckHealth: healthy}),
    ):
        counted = await soon(answered.get())

    assert counted == (_answers(range(1000), "IN_PROGRESS") + _answers(range(1000), "COMPLETED"))


class WatchedOutbox(Outbox):
    """Knows how many events waited to be sent at the most, and when the bound was reached."""

    def __init__(self, *, max_unsent: int) -> None:
        super().__init__(max_unsent=max_unsent)
        self.most_unsent = 0
        self.is_full = asyncio.Event()

    def put(self, event: Event) -> None:
        super().put(event)
        self.most_unsent = max(self.most_unsent, len(self._waiting))
        if self.most_unsent >= self._max_unsent:
            self.is_full.set()


@pytest.mark.usefixtures("at_full_speed")
@pytest.mark.parametrize("reads_late", [False, True])
async def test_ten_thousand_at_once_are_each_answered_once_and_the_excess_is_told_busy(
    reads_late: bool,
) -> None:
    """A peer that reads late stops the agent's writing, and that stops its reading for a while."""
    count, limit = 10_000, 1024
    may_end = asyncio.Event()
    outbox = WatchedOutbox(max_unsent=500)
    answered: asyncio.Queue[Counter[Answer]] = asyncio.Queue()

    async def waits(_: CheckHealth, /) -> Outcome:
        await may_end.wait()
        return Completed("well")

    async def floods(peer: RawPeer) -> None:
        await peer.upgrade()
        sending = asyncio.create_task(peer.write(_flood(count)))
        if reads_late:
            await outbox.is_full.wait()
        counted = await _collect(peer, 2 * count - limit)
        may_end.set()
        counted += await _collect(peer, limit)
        await sending
        answered.put_nowait(counted)

    async with (
        raw_server(floods, unread=64 * 1024) as server,
        running_agent(
            transport_to(server.url()),
            {CheckHealth: waits},
            limits=DispatchLimits(open_jobs=limit),
            outbox=outbox,
        ),
    ):
        counted = await soon(answered.get())

    assert counted == (
        _answers(range(count), "IN_PROGRESS")
        + _answers(range(limit), "COMPLETED")
        + _answers(range(limit, count), "FAILED", "busy")
    )
    # One command causes two events, and the results that wait for nothing but their turn come too.
    assert outbox.most_unsent <= 500 + 2 + limit
