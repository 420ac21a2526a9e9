"""The agent's end: in good order, in bounded time, and with nothing forgotten."""

from __future__ import annotations

import asyncio
import json

import pytest

from adapters.in_memory.transport import InMemoryLink, InMemoryTransport
from application.agent.dispatch import INTERRUPTED
from application.agent.job_book import JournalFailed
from domain.commands import CheckHealth, DeployCompose, GetStatus
from domain.errors import StorageUnavailable, TransportLost
from tests.builders import deploy, deploy_frame, frame
from tests.fakes.agent import FakeAgent
from tests.fakes.clock import settle
from tests.fakes.handler import FakeHandler
from tests.fakes.machine import FakeMachine

LAST_WORDS_S = 5.0
DRAINING = "the agent is stopping and takes no new commands; send it again later"


class Bench:
    """An agent over a transport of memory; give it a machine to be the next agent on that."""

    def __init__(self, machine: FakeMachine | None = None) -> None:
        self.machine = FakeMachine() if machine is None else machine
        self.clock = self.machine.clock
        self.transport = InMemoryTransport()
        self.handler = FakeHandler()
        self.parts = FakeAgent(
            self.machine,
            dict.fromkeys((DeployCompose, GetStatus, CheckHealth), self.handler),
            transport=self.transport,
        )
        self.agent = self.parts.agent

    @property
    def open_jobs(self) -> list[str]:
        return [job.job_id for job in self.parts.book.ledger.open_jobs()]

    async def start(self) -> tuple[asyncio.Task[None], InMemoryLink]:
        """A running agent, and its link."""
        running = asyncio.create_task(self.agent.run())
        return running, await self.transport.links.get()

    async def start_deploying(self) -> tuple[asyncio.Task[None], InMemoryLink]:
        """A running agent in the middle of job j1, and its link."""
        running, link = await self.start()
        self.handler.gate.clear()
        link.to_agent.put_nowait(deploy_frame("j1"))
        await settle()
        assert said(link) == [("j1", "IN_PROGRESS", None)]
        return running, link


@pytest.fixture
def bench() -> Bench:
    return Bench()


def said(link: InMemoryLink) -> list[tuple[str, str, str | None]]:
    """The responses that have arrived and were not looked at: id, status, error."""
    found = []
    while not link.to_control_plane.empty():
        response = json.loads(link.to_control_plane.get_nowait())
        found.append((response["job_id"], response["status"], response.get("error")))
    return found


async def test_an_idle_agent_stops_at_once_and_closes_its_link_with_the_reason(
    bench: Bench,
) -> None:
    running, link = await bench.start()
    bench.agent.request_stop()
    await running
    assert link.close_reason == "the agent is stopping"
    assert (bench.clock.sleepers, bench.clock.alarms) == (0, 0)


async def test_a_stop_that_is_asked_for_before_the_agent_runs_is_not_forgotten(
    bench: Bench,
) -> None:
    bench.agent.request_stop()
    await asyncio.create_task(bench.agent.run())


async def test_a_running_job_is_not_waited_for_and_the_next_agent_goes_on_with_it(
    bench: Bench,
) -> None:
    running, link = await bench.start_deploying()
    bench.agent.request_stop()
    await running
    assert said(link) == []
    assert bench.open_jobs == ["j1"]
    assert bench.clock.slept == []
    next_one = Bench(bench.machine)
    async with next_one.parts.running():
        link = await next_one.transport.links.get()
        await settle()
        assert said(link) == [("j1", "COMPLETED", None)]
        assert next_one.handler.ended == [deploy()]


async def test_a_change_that_waits_is_not_refused_and_the_next_agent_carries_it_out(
    bench: Bench,
) -> None:
    running, link = await bench.start_deploying()
    link.to_agent.put_nowait(deploy_frame("waiting"))
    await settle()
    bench.agent.request_stop()
    await running
    assert said(link) == [("waiting", "IN_PROGRESS", None)]
    next_one = Bench(bench.machine)
    async with next_one.parts.running():
        link = await next_one.transport.links.get()
        await settle()
        assert said(link) == [("j1", "COMPLETED", None), ("waiting", "COMPLETED", None)]


async def test_a_read_that_waits_is_refused(bench: Bench) -> None:
    running, link = await bench.start_deploying()
    link.to_agent.put_nowait(frame("waiting", "STATUS", project_name="blog"))
    await settle()
    bench.agent.request_stop()
    await running
    assert said(link) == [("waiting", "IN_PROGRESS", None), ("waiting", "FAILED", DRAINING)]


async def test_a_read_that_comes_in_behind_a_change_that_is_being_written_is_refused_too(
    bench: Bench,
) -> None:
    running, link = await bench.start_deploying()
    bench.machine.disk.hold()
    link.to_agent.put_nowait(deploy_frame("written"))
    link.to_agent.put_nowait(frame("read", "STATUS", project_name="blog"))
    await settle()
    assert said(link) == []
    bench.agent.request_stop()
    await settle()
    assert not running.done()
    bench.machine.disk.release()
    await running
    assert said(link) == [
        ("written", "IN_PROGRESS", None),
        ("read", "IN_PROGRESS", None),
        ("read", "FAILED", DRAINING),
    ]
    assert bench.open_jobs == ["j1", "written"]


async def test_while_it_stops_it_takes_no_new_command(bench: Bench) -> None:
    running, link = await bench.start()
    link.confirms.clear()
    bench.handler.gate.clear()
    link.to_agent.put_nowait(frame("read", "HEALTH_CHECK"))
    await settle()
    assert said(link) == [("read", "IN_PROGRESS", None)]
    bench.agent.request_stop()
    await settle()
    link.to_agent.put_nowait(frame("late", "HEALTH_CHECK"))
    link.to_agent.put_nowait(deploy_frame("later"))
    await settle()
    assert said(link) == [
        ("read", "FAILED", INTERRUPTED),
        ("late", "IN_PROGRESS", None),
        ("late", "FAILED", DRAINING),
        ("later", "IN_PROGRESS", None),
        ("later", "FAILED", DRAINING),
    ]
    assert bench.open_jobs == []
    link.confirms.set()
    await running


async def test_a_read_that_runs_is_ended_and_that_is_said_before_the_link_closes(
    bench: Bench,
) -> None:
    running, link = await bench.start()
    bench.handler.gate.clear()
    link.to_agent.put_nowait(frame("j1", "STATUS", project_name="blog"))
    await settle()
    bench.agent.request_stop()
    await running
    assert said(link) == [("j1", "IN_PROGRESS", None), ("j1", "FAILED", INTERRUPTED)]
    assert len(bench.handler.cancelled) == 1
    assert link.close_reason == "the agent is stopping"


async def test_results_that_are_not_confirmed_are_waited_for_five_seconds(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    running, link = await bench.start()
    link.confirms.clear()
    link.to_agent.put_nowait(frame("j1", "HEALTH_CHECK"))
    await settle()
    bench.agent.request_stop()
    await bench.clock.advance(LAST_WORDS_S - 0.1)
    assert not running.done()
    await bench.clock.advance(0.1)
    await running
    assert "1 answers could not be delivered before stopping" in caplog.text


async def test_asked_a_second_time_it_waits_for_no_confirmation_any_longer(bench: Bench) -> None:
    running, link = await bench.start()
    link.confirms.clear()
    link.to_agent.put_nowait(deploy_frame("j1"))
    await settle()
    bench.agent.request_stop()
    await settle()
    assert not running.done()
    bench.agent.request_stop()
    await running
    assert bench.clock.alarms == 0
    next_one = Bench(bench.machine)
    async with next_one.parts.running():
        link = await next_one.transport.links.get()
        await settle()
        assert said(link) == [("j1", "COMPLETED", None)]
        assert next_one.handler.started == []


async def test_a_result_that_is_confirmed_in_time_lets_it_go(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    running, link = await bench.start()
    link.confirms.clear()
    link.to_agent.put_nowait(frame("j1", "HEALTH_CHECK"))
    await settle()
    bench.agent.request_stop()
    await bench.clock.advance(3)
    link.confirms.set()
    await running
    assert "could not be delivered" not in caplog.text


async def test_an_agent_that_cannot_connect_stops_too(bench: Bench) -> None:
    bench.transport.failures.extend([TransportLost("cannot be reached")] * 100)
    running = asyncio.create_task(bench.agent.run())
    await bench.clock.advance(10)
    bench.agent.request_stop()
    await running
    assert (bench.clock.sleepers, bench.clock.alarms) == (0, 0)


async def test_a_result_is_delivered_after_a_reconnect_while_stopping(bench: Bench) -> None:
    running, first = await bench.start()
    first.confirms.clear()
    first.to_agent.put_nowait(frame("j1", "HEALTH_CHECK"))
    await settle()
    assert said(first) == [("j1", "IN_PROGRESS", None), ("j1", "COMPLETED", None)]
    bench.agent.request_stop()
    await settle()
    first.lost.set()
    await bench.clock.advance(1)
    second = await bench.transport.links.get()
    await running
    assert said(second) == [("j1", "COMPLETED", None)]


async def test_cancelled_from_outside_it_ends_everything(bench: Bench) -> None:
    running, link = await bench.start_deploying()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert link.lost.is_set()
    assert len(bench.handler.cancelled) == 1


async def test_a_journal_that_cannot_be_opened_is_said_before_anything_is_dialled(
    bench: Bench,
) -> None:
    bench.machine.disk.fails = True
    with pytest.raises(StorageUnavailable):
        await bench.agent.run()
    assert bench.transport.attempts == 0


async def test_a_journal_that_fails_later_ends_the_agent_and_says_nothing_untrue(
    bench: Bench,
) -> None:
    running, link = await bench.start()
    bench.machine.disk.fails = True
    link.to_agent.put_nowait(deploy_frame("j1"))
    with pytest.raises(ExceptionGroup) as raised:
        await running
    assert raised.group_contains(JournalFailed)
    assert said(link) == []
    assert bench.handler.started == []
    assert link.lost.is_set()


async def test_the_service_manager_is_told_that_it_is_ready_alive_and_stopping(
    bench: Bench,
) -> None:
    bench.parts.manager.watchdog_s = 60.0
    running, _ = await bench.start()
    await settle()
    assert sorted(bench.parts.manager.told) == ["alive", "ready"]
    await bench.clock.advance(60)
    assert bench.parts.manager.told.count("alive") == 4
    bench.agent.request_stop()
    await running
    assert bench.parts.manager.told[-1] == "stopping"


async def test_a_disk_that_does_not_answer_is_a_hang_and_a_slow_one_is_none(bench: Bench) -> None:
    bench.parts.manager.watchdog_s = 60.0
    told = bench.parts.manager.told
    running, link = await bench.start()
    await settle()
    bench.machine.disk.hold()
    link.to_agent.put_nowait(deploy_frame("j1"))
    await bench.clock.advance(50)
    bench.machine.disk.release()
    await settle()
    fed = told.count("alive")
    await bench.clock.advance(60)
    assert told.count("alive") == fed + 3
    bench.machine.disk.hold()
    link.to_agent.put_nowait(deploy_frame("j2"))
    await bench.clock.advance(59)
    fed = told.count("alive")
    await bench.clock.advance(60)
    assert told.count("alive") == fed
    bench.machine.disk.release()
    bench.agent.request_stop()
    await running
