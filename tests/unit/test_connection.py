"""The link carries commands and results, and what its end may not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from application.agent.outbox import Outbox
from domain.events import JobCompleted
from tests.builders import deploy_frame, frame
from tests.fakes.clock import settle
from tests.unit.connecting import Bench, responses, statuses


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench().running() as running:
        yield running


async def test_a_command_is_answered_on_its_link(bench: Bench) -> None:
    link = await bench.link()
    link.to_agent.put_nowait(deploy_frame("j1"))
    await settle()
    assert responses(link) == [
        {"job_id": "j1", "status": "IN_PROGRESS", "logs": "Command received, processing..."},
        {"job_id": "j1", "status": "COMPLETED", "logs": "done"},
    ]
    assert len(bench.outbox) == 0


async def test_a_bad_frame_is_answered_and_the_link_stays(bench: Bench) -> None:
    link = await bench.link()
    for raw in ("nonsense", "[]", frame("j1", "REBOOT"), b"\xff", frame("j2", "HEALTH_CHECK")):
        link.to_agent.put_nowait(raw)
    await settle()
    assert sorted(statuses(link)) == [
        ("j1", "FAILED"),
        ("j1", "IN_PROGRESS"),
        ("j2", "COMPLETED"),
        ("j2", "IN_PROGRESS"),
        ("unknown", "FAILED"),
        ("unknown", "FAILED"),
        ("unknown", "FAILED"),
    ]
    assert (bench.transport.attempts, link.lost.is_set()) == (1, False)


async def test_a_lost_link_cancels_no_job_and_the_result_is_delivered_on_the_next_one(
    bench: Bench,
) -> None:
    bench.handler.gate.clear()
    first = await bench.link()
    first.to_agent.put_nowait(deploy_frame("j1"))
    await settle()
    assert statuses(first) == [("j1", "IN_PROGRESS")]
    await bench.lose(first)
    second = await bench.link()
    bench.handler.gate.set()
    await settle()
    assert bench.handler.cancelled == []
    assert statuses(second) == [("j1", "COMPLETED")]
    assert statuses(first) == []


async def test_a_result_that_came_while_there_was_no_link_is_delivered_on_the_next_one(
    bench: Bench,
) -> None:
    bench.handler.gate.clear()
    first = await bench.link()
    first.to_agent.put_nowait(deploy_frame("j1"))
    await settle()
    first.lost.set()
    await settle()
    bench.handler.gate.set()
    await settle()
    assert [job.job_id for job in bench.parts.book.ledger.undelivered()] == ["j1"]
    await bench.clock.advance_to_next()
    assert statuses(await bench.link()) == [("j1", "COMPLETED")]


async def test_a_confirmed_result_is_delivered_once(bench: Bench) -> None:
    first = await bench.link()
    first.to_agent.put_nowait(deploy_frame("j1"))
    await settle()
    await bench.lose(first)
    second = await bench.link()
    await settle()
    assert statuses(second) == []


async def test_a_result_is_delivered_again_on_each_link_until_it_is_confirmed(
    bench: Bench,
) -> None:
    first = await bench.link()
    first.confirms.clear()
    first.to_agent.put_nowait(deploy_frame("j1"))
    await settle()
    assert statuses(first) == [("j1", "IN_PROGRESS"), ("j1", "COMPLETED")]
    await bench.lose(first)
    second = await bench.link()
    await settle()
    assert statuses(second) == [("j1", "COMPLETED")]
    await bench.lose(second)
    third = await bench.link()
    await settle()
    assert statuses(third) == []


async def test_a_link_that_fails_while_sending_loses_no_result() -> None:
    bench = Bench()
    bench.outbox.put(JobCompleted("j1", "done"))
    async with bench.running():
        first = await bench.link()
        first.lost.set()
        await settle()
        await bench.clock.advance_to_next()
        second = await bench.link()
        await settle()
        assert statuses(second) == [("j1", "COMPLETED")]


async def test_a_link_that_is_lost_is_closed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    link = await bench.link()
    closed = asyncio.Event()

    async def close(_reason: str) -> None:
        closed.set()

    monkeypatch.setattr(link, "close", close)
    link.lost.set()
    await settle()
    assert closed.is_set()


async def test_cancelled_it_closes_the_link_and_says_why() -> None:
    bench = Bench()
    async with bench.running():
        link = await bench.link()
    assert link.close_reason == "the agent is stopping"


async def test_it_reads_no_further_while_too_much_is_unsent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(Outbox(max_unsent=4))
    async with bench.running():
        link = await bench.link()
        monkeypatch.setattr(link, "send", lambda _event: asyncio.Event().wait())
        for number in range(50):
            link.to_agent.put_nowait(frame(f"j{number}", "HEALTH_CHECK"))
        await settle(400)
        # A message may add two events when there is room for one, and one is in the writer's hands.
        assert link.to_agent.qsize() >= 44


async def test_a_burst_is_answered_while_it_is_read(bench: Bench) -> None:
    link = await bench.link()
    for number in range(300):
        link.to_agent.put_nowait(frame(f"j{number}", "HEALTH_CHECK"))
    await settle(60)
    assert link.to_agent.qsize() > 0
    assert ("j0", "COMPLETED") in statuses(link)


async def test_pipelined_commands_are_all_answered(bench: Bench) -> None:
    link = await bench.link()
    for number in range(200):
        link.to_agent.put_nowait(frame(f"j{number}", "HEALTH_CHECK"))
    found: list[tuple[str, str]] = []
    while len(found) < 400:
        await settle()
        assert not link.to_control_plane.empty(), "nothing more comes"
        found += statuses(link)
    assert sum(status == "COMPLETED" for _, status in found) == 200
