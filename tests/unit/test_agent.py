"""The agent's end: in good order, and in bounded time."""

from __future__ import annotations

import asyncio
import json

import pytest

from adapters.in_memory.transport import InMemoryLink, InMemoryTransport
from application.agent.agent import Agent
from application.agent.connection import Connection
from application.agent.dispatch import INTERRUPTED, Dispatcher, DispatchLimits
from application.agent.outbox import Outbox
from domain.backoff import reconnect_delays
from domain.commands import CheckHealth, DeployCompose
from domain.errors import TransportLost
from tests.builders import deploy_frame, frame
from tests.fakes.clock import FakeClock, settle
from tests.fakes.handler import FakeHandler

SHUTDOWN_S = 30.0


class Bench:
    """An agent over a transport of memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.transport = InMemoryTransport()
        self.handler = FakeHandler()
        outbox = Outbox()
        dispatcher = Dispatcher(
            handlers={DeployCompose: self.handler, CheckHealth: self.handler},
            emit=outbox.put,
            limits=DispatchLimits(),
        )
        self.agent = Agent(
            connection=Connection(
                transport=self.transport,
                dispatcher=dispatcher,
                outbox=outbox,
                clock=self.clock,
                delays=reconnect_delays,
            ),
            dispatcher=dispatcher,
            outbox=outbox,
            clock=self.clock,
            shutdown_s=SHUTDOWN_S,
        )

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


async def test_a_running_job_is_let_end_and_its_result_is_delivered(bench: Bench) -> None:
    running, link = await bench.start_deploying()
    bench.agent.request_stop()
    await bench.clock.advance(SHUTDOWN_S - 1)
    assert not running.done()
    bench.handler.gate.set()
    await running
    assert said(link) == [("j1", "COMPLETED", None)]
    assert bench.handler.cancelled == []


async def test_while_it_stops_it_takes_no_new_command_and_refuses_what_waits(
    bench: Bench,
) -> None:
    running, link = await bench.start_deploying()
    link.to_agent.put_nowait(deploy_frame("waiting"))
    await settle()
    bench.agent.request_stop()
    await settle()
    link.to_agent.put_nowait(frame("late", "HEALTH_CHECK"))
    await settle()
    why = "the agent is stopping and takes no new commands; send it again later"
    assert said(link) == [
        ("waiting", "IN_PROGRESS", None),
        ("waiting", "FAILED", why),
        ("late", "IN_PROGRESS", None),
        ("late", "FAILED", why),
    ]
    bench.handler.gate.set()
    await running


async def test_a_job_that_takes_too_long_is_ended_and_that_is_said_before_the_link_closes(
    bench: Bench,
) -> None:
    running, link = await bench.start_deploying()
    bench.agent.request_stop()
    await bench.clock.advance(SHUTDOWN_S)
    await running
    assert said(link) == [("j1", "FAILED", INTERRUPTED)]
    assert len(bench.handler.cancelled) == 1
    assert link.close_reason == "the agent is stopping"


async def test_asked_a_second_time_it_waits_for_no_job_any_longer(bench: Bench) -> None:
    running, link = await bench.start_deploying()
    bench.agent.request_stop()
    await settle()
    bench.agent.request_stop()
    await running
    assert said(link) == [("j1", "FAILED", INTERRUPTED)]
    assert bench.clock.alarms == 0


async def test_results_that_are_not_confirmed_are_waited_for_five_seconds(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    running, link = await bench.start()
    link.confirms.clear()
    link.to_agent.put_nowait(frame("j1", "HEALTH_CHECK"))
    await settle()
    bench.agent.request_stop()
    await bench.clock.advance(4.9)
    assert not running.done()
    await bench.clock.advance(0.1)
    await running
    assert "1 results could not be delivered before stopping" in caplog.text


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
    running, first = await bench.start_deploying()
    bench.agent.request_stop()
    await settle()
    first.lost.set()
    await bench.clock.advance(1)
    second = await bench.transport.links.get()
    bench.handler.gate.set()
    await running
    assert said(second) == [("j1", "COMPLETED", None)]


async def test_cancelled_from_outside_it_ends_everything(bench: Bench) -> None:
    running, link = await bench.start_deploying()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert link.lost.is_set()
    assert len(bench.handler.cancelled) == 1
