"""What every transport does, whatever it is made of.

A subclass gives two fixtures: `transport`, ready to connect, and `peer`, the other end of the link
that the transport makes. `TransportContract` holds for all; `PeerConnectionContract` adds what only a
link to one peer can do: be cut, withhold confirmations, and carry bad input to the agent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from typing import Final, Protocol, TypeVar

import pytest

from application.ports.transport import Link, Transport
from domain.commands import CheckHealth, StopCompose
from domain.errors import TransportLost
from domain.events import JobCompleted, JobFailed, JobReceived
from domain.job import JobId
from domain.messages import MalformedMessage, RefusedRequest, Request
from domain.project import ProjectName

T = TypeVar("T")

HANG_S: Final = 20.0
"""A wait as long as this is a hang; nothing here comes near it when all is well."""
LOOP_STEPS: Final = 12
"""More turns of the event loop than a message takes through any of the transports."""


class ScriptedPeer(Protocol):
    """The control plane's end of the link. Its methods are called once `connect` has returned."""

    async def send(self, frame: str | bytes) -> None:
        """Send one frame, without waiting for an answer to it."""
        ...

    async def receive(self) -> dict[str, object]:
        """Wait for the next response, parsed."""
        ...


class ConnectedPeer(ScriptedPeer, Protocol):
    """A peer that has the one connection in its hands."""

    async def cut(self) -> None:
        """End the connection without a word, as a network does."""
        ...

    async def withhold(self) -> None:
        """Confirm nothing from now on, as a peer does that reads nothing."""
        ...

    async def resume(self) -> None:
        """Confirm again, also what was withheld."""
        ...


async def soon(awaitable: Awaitable[T]) -> T:
    """What is waited for; a bug that makes it never come fails the test instead of hanging it."""
    async with asyncio.timeout(HANG_S):
        return await awaitable


async def connected(transport: Transport) -> Link:
    """A link of protocol v1, to a peer that selects no other version."""
    link = await soon(transport.connect())
    assert link.version == 1
    return link


def command(job_id: str, command_type: str = "HEALTH_CHECK", **payload: object) -> str:
    """A frame of protocol v1."""
    return json.dumps({"id": job_id, "type": command_type, "payload": payload})


class TransportContract:
    """Holds for every transport."""

    @pytest.fixture
    async def link(self, transport: Transport, peer: ScriptedPeer) -> AsyncIterator[Link]:
        link = await connected(transport)
        yield link
        await soon(link.close("the test is over"))

    async def test_a_command_arrives_as_a_request(self, link: Link, peer: ScriptedPeer) -> None:
        await peer.send(command("stop-1", "STOP_COMPOSE", project_name="Web"))

        assert await soon(link.receive()) == Request(
            JobId("stop-1"), StopCompose(ProjectName("Web"))
        )

    async def test_commands_arrive_as_often_as_they_are_received(
        self, link: Link, peer: ScriptedPeer
    ) -> None:
        for job_id in ("a", "b", "c"):
            await peer.send(command(job_id))
            assert await soon(link.receive()) == Request(JobId(job_id), CheckHealth())

    async def test_the_peer_gets_a_jobs_events_in_order_and_with_v1s_fields(
        self, link: Link, peer: ScriptedPeer
    ) -> None:
        await peer.send(command("job-1"))
        await soon(link.receive())
        await soon(link.send(JobReceived("job-1")))
        await soon(link.send(JobCompleted("job-1", "well", {"version": "1.0.0"})))

        assert await soon(peer.receive()) == {
            "job_id": "job-1",
            "status": "IN_PROGRESS",
            "logs": "Command received, processing...",
        }
        assert await soon(peer.receive()) == {
            "job_id": "job-1",
            "status": "COMPLETED",
            "logs": "well",
            "data": {"version": "1.0.0"},
        }

    async def test_a_failure_has_an_error_and_logs_even_when_they_are_empty(
        self, link: Link, peer: ScriptedPeer
    ) -> None:
        await peer.send(command("job-1"))
        await soon(link.receive())
        await soon(link.send(JobFailed("job-1", "no such project")))

        assert await soon(peer.receive()) == {
            "job_id": "job-1",
            "status": "FAILED",
            "logs": "",
            "error": "no such project",
        }

    async def test_text_of_any_language_and_line_breaks_reach_the_peer_unchanged(
        self, link: Link, peer: ScriptedPeer
    ) -> None:
        logs = "zażółć\r\n\u2028\x00\x1b[2K 漢字 \U0001f680"
        await peer.send(command("job-1"))
        await soon(link.receive())
        await soon(link.send(JobCompleted("job-1", logs)))

        assert (await soon(peer.receive()))["logs"] == logs

    async def test_what_is_confirmed_can_be_read_by_the_peer(
        self, link: Link, peer: ScriptedPeer
    ) -> None:
        await peer.send(command("job-1"))
        await soon(link.receive())
        await soon(link.send(JobCompleted("job-1", "done")))
        await soon(link.confirm())

        assert (await soon(peer.receive()))["status"] == "COMPLETED"

    async def test_there_is_nothing_to_wait_for_when_nothing_was_sent(
        self, link: Link, peer: ScriptedPeer
    ) -> None:
        await soon(link.confirm())
        await peer.send(command("job-1"))

        assert await soon(link.receive()) == Request(JobId("job-1"), CheckHealth())

    @pytest.mark.parametrize("steps", range(LOOP_STEPS))
    async def test_a_cancelled_receive_loses_no_message(
        self, link: Link, peer: ScriptedPeer, steps: int
    ) -> None:
        receiving = asyncio.create_task(link.receive())
        await let_the_loop_turn()
        await peer.send(command("job-1"))
        await let_the_loop_turn(steps)
        receiving.cancel()
        try:
            message = await soon(receiving)
        except asyncio.CancelledError:
            message = await soon(link.receive())

        assert message == Request(JobId("job-1"), CheckHealth())

    async def test_closing_again_is_harmless(self, link: Link) -> None:
        await soon(link.close("first"))
        await soon(link.close("second"))

        await _assert_lost(link)

    async def test_a_closed_link_is_lost(self, link: Link) -> None:
        await soon(link.close("closed by the test"))

        await _assert_lost(link)

    async def test_closing_ends_a_receive_that_waits(self, link: Link) -> None:
        receiving = asyncio.create_task(link.receive())
        await let_the_loop_turn()
        await soon(link.close("closed by the test"))

        with pytest.raises(TransportLost):
            await soon(receiving)

    async def test_a_transport_connects_again_after_its_link_was_closed(
        self, transport: Transport, link: Link
    ) -> None:
        await soon(link.close("closed by the test"))
        again = await connected(transport)
        try:
            await soon(again.confirm())
            await _assert_lost(link)
        finally:
            await soon(again.close("the test is over"))

    async def test_closing_an_old_link_leaves_the_new_one_alone(
        self, transport: Transport, link: Link
    ) -> None:
        await soon(link.close("first"))
        again = await connected(transport)
        try:
            await soon(link.close("second"))
            await soon(again.confirm())
            await _assert_lost(link)
        finally:
            await soon(again.close("the test is over"))


class PeerConnectionContract(TransportContract):
    """Holds where one link is one connection to one peer."""

    @pytest.mark.parametrize("frame", ["{", "[]", b"\xff", '"text"', "null", "{}", '{"id": 7}'])
    async def test_bad_input_arrives_as_a_message_and_the_link_lives_on(
        self, link: Link, peer: ConnectedPeer, frame: str | bytes
    ) -> None:
        await peer.send(frame)
        await peer.send(command("next"))

        message = await soon(link.receive())
        assert isinstance(message, MalformedMessage)
        assert message.job_id == "unknown"
        assert await soon(link.receive()) == Request(JobId("next"), CheckHealth())

    async def test_a_refused_command_arrives_as_a_message_and_the_link_lives_on(
        self, link: Link, peer: ConnectedPeer
    ) -> None:
        await peer.send(command("bad", "STOP_COMPOSE", project_name=".."))
        await peer.send(command("next"))

        message = await soon(link.receive())
        assert isinstance(message, RefusedRequest)
        assert message.job_id == "bad"
        assert await soon(link.receive()) == Request(JobId("next"), CheckHealth())

    async def test_messages_that_wait_are_received_in_order(
        self, link: Link, peer: ConnectedPeer
    ) -> None:
        sending = asyncio.create_task(_send_all(peer, 200))
        received = [await soon(link.receive()) for _ in range(200)]
        await soon(sending)

        assert received == [Request(JobId(str(n)), CheckHealth()) for n in range(200)]

    async def test_events_of_many_jobs_are_received_in_order(
        self, link: Link, peer: ConnectedPeer
    ) -> None:
        for n in range(200):
            await soon(link.send(JobReceived(str(n))))

        received = [await soon(peer.receive()) for _ in range(200)]
        assert [response["job_id"] for response in received] == [str(n) for n in range(200)]

    async def test_confirm_waits_for_the_peer(self, link: Link, peer: ConnectedPeer) -> None:
        await peer.withhold()
        await soon(link.send(JobCompleted("job-1", "done")))
        confirming = asyncio.create_task(link.confirm())
        await let_the_loop_turn()
        was_confirmed_unread = confirming.done()
        await peer.resume()
        await soon(confirming)

        assert not was_confirmed_unread

    async def test_a_cancelled_confirm_leaves_the_link_usable(
        self, link: Link, peer: ConnectedPeer
    ) -> None:
        await peer.withhold()
        confirming = asyncio.create_task(link.confirm())
        await let_the_loop_turn()
        confirming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(confirming)
        await peer.resume()

        await soon(link.confirm())

    async def test_a_cut_ends_a_receive_that_waits(self, link: Link, peer: ConnectedPeer) -> None:
        receiving = asyncio.create_task(link.receive())
        await let_the_loop_turn()
        await peer.cut()

        with pytest.raises(TransportLost):
            await soon(receiving)

    async def test_a_cut_ends_a_confirm_that_waits(self, link: Link, peer: ConnectedPeer) -> None:
        await peer.withhold()
        confirming = asyncio.create_task(link.confirm())
        await let_the_loop_turn()
        await peer.cut()

        with pytest.raises(TransportLost):
            await soon(confirming)

    async def test_a_cut_link_is_lost_and_closing_it_is_harmless(
        self, link: Link, peer: ConnectedPeer
    ) -> None:
        await peer.cut()

        await _assert_lost(link)
        await soon(link.close("there is nobody to hear it"))

    async def test_closing_ends_although_the_peer_reads_nothing(
        self, link: Link, peer: ConnectedPeer
    ) -> None:
        await peer.withhold()

        await soon(link.close("the peer does not listen"))

        await _assert_lost(link)


async def _send_all(peer: ScriptedPeer, count: int) -> None:
    for n in range(count):
        await peer.send(command(str(n)))


async def let_the_loop_turn(times: int = LOOP_STEPS) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def _assert_lost(link: Link) -> None:
    """Receiving comes first: it waits until the loss is known, which sending does not."""
    with pytest.raises(TransportLost):
        await soon(link.receive())
    with pytest.raises(TransportLost):
        await soon(link.send(JobReceived("job-1")))
    with pytest.raises(TransportLost):
        await soon(link.confirm())
