"""The debug transport over real sockets: what clients may do, and what the agent gets of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from adapters.debug_http.api import OPEN_COMMANDS
from adapters.debug_http.job_streams import JobStreams
from adapters.debug_http.server import DebugHttpTransport
from domain.errors import TransportLost
from domain.events import JobCompleted, JobFailed, JobReceived
from tests.builders import deploy, deploy_frame, frame, request
from tests.contracts.transport import TransportContract, soon
from tests.fakes.host import FakeHost
from tests.integration.debug_http_client import (
    HURRIED,
    TOKEN,
    DebugAgent,
    HttpPeer,
    client_that_reads_nothing,
    debug_agent,
)

FACTS = FakeHost().facts()
LARGE_OUTPUT = "x" * 900_000


def health(job_id: str) -> str:
    return frame(job_id, "HEALTH_CHECK")


@pytest.fixture
async def debug() -> AsyncIterator[DebugAgent]:
    async with debug_agent() as debug:
        yield debug


class TestDebugHttpTransport(TransportContract):
    @pytest.fixture
    def transport(self) -> DebugHttpTransport:
        return DebugHttpTransport(0, TOKEN, FACTS)

    @pytest.fixture
    async def peer(self, transport: DebugHttpTransport) -> AsyncIterator[HttpPeer]:
        async with aiohttp.ClientSession() as http:
            peer = HttpPeer(transport, http)
            yield peer
            await soon(peer.stop())


async def line_of(response: aiohttp.ClientResponse) -> dict[str, object]:
    line: dict[str, object] = json.loads(await soon(response.content.readline()))
    return line


async def test_each_response_is_a_line_that_comes_when_its_event_does(debug: DebugAgent) -> None:
    async with asyncio.TaskGroup() as tasks:
        agent = tasks.create_task(debug.link.receive())
        first_event = tasks.create_task(_send_after(agent, debug, JobReceived("d-1")))
        async with debug.open(deploy_frame("d-1")) as response:
            await first_event
            assert agent.result() == request("d-1", deploy())
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/x-ndjson"
            assert (await line_of(response))["status"] == "IN_PROGRESS"

            await debug.link.send(JobCompleted("d-1", "line 1\nline 2", {"n": 1}))
            assert await line_of(response) == {
                "job_id": "d-1",
                "status": "COMPLETED",
                "logs": "line 1\nline 2",
                "data": {"n": 1},
            }
            assert await soon(response.content.read()) == b""


async def _send_after(
    received: asyncio.Task[object], debug: DebugAgent, event: JobReceived
) -> None:
    await asyncio.wait({received})
    await debug.link.send(event)


async def test_each_of_two_commands_at_once_gets_its_own_events(debug: DebugAgent) -> None:
    first = asyncio.create_task(debug.ask("POST", "/commands", health("first")))
    second = asyncio.create_task(debug.ask("POST", "/commands", health("second")))
    received = {str((await soon(debug.link.receive())).job_id) for _ in range(2)}
    for job_id in ("first", "second"):
        await debug.link.send(JobReceived(job_id))
    await debug.link.send(JobFailed("second", "no"))
    await debug.link.send(JobCompleted("first", "yes"))

    assert received == {"first", "second"}
    for answer, job_id, statuses in (
        (await first, "first", ["IN_PROGRESS", "COMPLETED"]),
        (await second, "second", ["IN_PROGRESS", "FAILED"]),
    ):
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert [line["job_id"] for line in lines] == [job_id, job_id]
        assert [line["status"] for line in lines] == statuses


async def test_an_id_that_is_in_use_is_a_conflict_and_is_free_after_its_job(
    debug: DebugAgent,
) -> None:
    first = asyncio.create_task(debug.ask("POST", "/commands", health("same")))
    await soon(debug.link.receive())
    twin = await debug.ask("POST", "/commands", health("same"))
    await debug.link.send(JobCompleted("same", "done"))
    await soon(first)
    again = asyncio.create_task(debug.ask("POST", "/commands", health("same")))

    assert twin.status == 409
    assert twin.body["job_id"] == "same"
    assert twin.body["status"] == "FAILED"
    assert twin.body["data"] == {"reason": "conflict"}
    assert await soon(debug.link.receive()) == request("same")
    await debug.link.send(JobCompleted("same", "done again"))
    assert (await soon(again)).body["logs"] == "done again"


async def test_an_id_is_free_as_soon_as_its_final_event_is_handed_over() -> None:
    streams = JobStreams()

    with streams.opened("same"):
        streams.deliver(JobCompleted("same", "done"))
        with streams.opened("same") as again:
            streams.deliver(JobCompleted("same", "done again"))
            assert [event async for event in again] == [JobCompleted("same", "done again")]


async def test_a_client_that_goes_away_cancels_nothing_and_its_events_are_dropped(
    debug: DebugAgent,
) -> None:
    leaving = asyncio.create_task(debug.ask("POST", "/commands", health("left")))
    assert await soon(debug.link.receive()) == request("left")
    leaving.cancel()
    await asyncio.wait({leaving})
    still_running = await debug.ask("POST", "/commands", health("left"))
    await debug.link.send(JobReceived("left"))
    await debug.link.send(JobCompleted("left", LARGE_OUTPUT))
    await soon(debug.link.confirm())
    after = asyncio.create_task(debug.ask("POST", "/commands", health("left")))

    assert still_running.status == 409
    assert await soon(debug.link.receive()) == request("left")
    await debug.link.send(JobCompleted("left", "for the one that asked now"))
    assert (await soon(after)).body["logs"] == "for the one that asked now"


async def test_an_event_that_nobody_waits_for_is_dropped(debug: DebugAgent) -> None:
    await debug.link.send(JobCompleted("from-an-earlier-link", "done"))

    await soon(debug.link.confirm())


async def test_a_client_that_does_not_read_holds_up_no_other(debug: DebugAgent) -> None:
    async with client_that_reads_nothing(debug, health("stuck")):
        await soon(debug.link.receive())
        await debug.link.send(JobCompleted("stuck", LARGE_OUTPUT))
        other = asyncio.create_task(debug.ask("POST", "/commands", health("other")))
        await soon(debug.link.receive())
        await debug.link.send(JobCompleted("other", "done"))

        assert (await soon(other)).body["status"] == "COMPLETED"


async def test_closing_takes_no_longer_for_a_client_that_does_not_read(
    debug: DebugAgent,
) -> None:
    async with client_that_reads_nothing(debug, health("stuck")) as client:
        await soon(debug.link.receive())
        await debug.link.send(JobCompleted("stuck", LARGE_OUTPUT))
        confirming = asyncio.create_task(debug.link.confirm())
        await asyncio.sleep(0)  # It waits for the client now.
        await soon(debug.link.close("the agent is stopping"))

        with pytest.raises(TransportLost):
            await soon(confirming)
        assert await all_that_comes(client) < len(LARGE_OUTPUT)


async def all_that_comes(client: socket.socket) -> int:
    """How many bytes the connection still holds for its client when the agent has left it."""
    size = 0
    with contextlib.suppress(ConnectionResetError):
        while chunk := await soon(asyncio.get_running_loop().sock_recv(client, 65536)):
            size += len(chunk)
    return size


async def test_a_client_that_does_not_read_is_taken_for_gone_in_the_end() -> None:
    async with debug_agent(HURRIED) as debug, client_that_reads_nothing(debug, health("stuck")):
        await soon(debug.link.receive())
        await debug.link.send(JobCompleted("stuck", LARGE_OUTPUT))

        await soon(debug.link.confirm())


async def test_closing_breaks_off_a_stream_whose_job_has_not_ended(debug: DebugAgent) -> None:
    opening = asyncio.create_task(_first_line_then_all(debug))
    await soon(debug.link.receive())
    await debug.link.send(JobReceived("unfinished"))
    await soon(debug.link.confirm())
    await soon(debug.link.close("the agent is stopping"))

    with pytest.raises(aiohttp.ClientError):
        await soon(opening)


async def _first_line_then_all(debug: DebugAgent) -> None:
    async with debug.open(health("unfinished")) as response:
        assert (await line_of(response))["status"] == "IN_PROGRESS"
        await response.content.read()


async def test_a_final_event_that_was_sent_reaches_its_client_although_the_link_closes(
    debug: DebugAgent,
) -> None:
    asking = asyncio.create_task(debug.ask("POST", "/commands", health("last")))
    await soon(debug.link.receive())
    await debug.link.send(JobCompleted("last", "done"))
    await soon(debug.link.close("the agent is stopping"))

    assert (await soon(asking)).body["status"] == "COMPLETED"


async def test_a_command_that_no_event_has_answered_is_told_why_the_link_closes(
    debug: DebugAgent,
) -> None:
    asking = asyncio.create_task(debug.ask("POST", "/commands", health("unanswered")))
    await soon(debug.link.receive())
    await soon(debug.link.close("the agent is stopping"))
    answer = await soon(asking)

    assert (answer.status, answer.body) == (503, {"error": "the agent is stopping"})


async def test_more_commands_than_may_be_open_at_once_are_put_off(debug: DebugAgent) -> None:
    asking = []
    for n in range(OPEN_COMMANDS):
        asking.append(asyncio.create_task(debug.ask("POST", "/commands", health(str(n)))))
        await soon(debug.link.receive())
    refused = await debug.ask("POST", "/commands", health("too-many"))
    healthy = await debug.ask("GET", "/healthz")
    await debug.link.send(JobCompleted("0", "done"))
    await soon(asking[0])
    taken = asyncio.create_task(debug.ask("POST", "/commands", health("now")))

    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert healthy.status == 200
    assert await soon(debug.link.receive()) == request("now")
    await soon(debug.link.close("the test is over"))
    await asyncio.wait({taken, *asking})
