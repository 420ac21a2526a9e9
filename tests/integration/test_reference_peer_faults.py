"""What goes wrong on purpose in the control plane that the agent is tested against."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.peer_database import PeerDatabase
from tests.support.peer_terms import Terms
from tests.support.ports import reserved_port
from tests.support.reference_peer import ReferencePeer
from tests.support.scripted_agent import (
    final,
    hello,
    scripted_agent,
    welcomed_agent,
)


@pytest.fixture
def database() -> PeerDatabase:
    return PeerDatabase()


@pytest.fixture
async def peer(database: PeerDatabase) -> AsyncIterator[ReferencePeer]:
    async with ReferencePeer(database) as listening:
        yield listening


async def test_a_killed_control_plane_loses_what_it_has_not_written(
    database: PeerDatabase,
) -> None:
    with reserved_port() as port:
        async with ReferencePeer(database, port) as peer, welcomed_agent(peer.url) as agent:
            job_id = await peer.submit("HEALTH_CHECK", {})
            await agent.expect("HEALTH_CHECK")
            await agent.accept(job_id)
            await agent.acknowledged(1)
            peer.faults.hold_commits = True
            await agent.finish(job_id)
            await agent.send("BYE", reason="read up to here")
            session = await peer.agent()
            await database.until(lambda: session.bye, "BYE")
            await peer.crash()
            assert await agent.closed() is None
        assert database.jobs[job_id].state == "accepted"
        async with ReferencePeer(database, port) as peer, scripted_agent(peer.url) as agent:
            welcome = await agent.hello(peer_epoch=database.epoch, last_seq_seen=1)
            assert welcome["last_seq_seen"] == 1
            await agent.finish(job_id)
            await peer.final(job_id)
            assert len(database.jobs[job_id].finals) == 1


@pytest.mark.parametrize("after_commit", [False, True])
async def test_it_crashes_before_or_after_the_commit(
    database: PeerDatabase, after_commit: bool
) -> None:
    async with ReferencePeer(database) as peer, welcomed_agent(peer.url) as agent:
        job_id = await peer.submit("HEALTH_CHECK", {})
        await agent.expect("HEALTH_CHECK")
        peer.faults.crash_after_commit = after_commit
        peer.faults.crash_when = lambda message: message["type"] == "ACCEPT"
        await agent.accept(job_id)
        await peer.has_crashed()
        with pytest.raises(ConnectionClosed):
            await agent.receive()  # No ACK comes, in either case.
        assert database.ledger.last_seq_seen == int(after_commit)


async def test_acknowledgements_can_be_withheld(
    peer: ReferencePeer, database: PeerDatabase
) -> None:
    async with welcomed_agent(peer.url) as agent:
        peer.faults.withhold_acks = True
        job_id = await peer.submit("HEALTH_CHECK", {})
        assert "ack" not in await agent.expect("HEALTH_CHECK")
        await agent.accept(job_id)
        await peer.accepted(job_id)
        peer.heal()
        await agent.acknowledged(1)


async def test_commits_can_be_held_and_caught_up_on(peer: ReferencePeer) -> None:
    async with welcomed_agent(peer.url) as agent:
        job_id = await peer.submit("HEALTH_CHECK", {})
        await agent.expect("HEALTH_CHECK")
        peer.faults.hold_commits = True
        await agent.accept(job_id)
        await agent.accept(job_id)  # Not a violation of anything that is on the disk yet.
        agent.seq = 1
        await agent.send("HEARTBEAT", facts={"load": 1})
        session = await peer.agent()
        await peer.database.until(lambda: session.facts or None, "HEARTBEAT")
        assert peer.database.ledger.last_seq_seen == 0
        peer.database.strict = False
        peer.heal()
        await agent.acknowledged(2)
        assert "not asked" in peer.database.violations[0]
        peer.database.strict = True
        peer.database.violations.clear()


async def test_a_duplicate_is_acknowledged_again_and_changes_nothing(
    peer: ReferencePeer, database: PeerDatabase
) -> None:
    async with welcomed_agent(peer.url) as agent:
        job_id = await peer.submit("HEALTH_CHECK", {})
        await agent.expect("HEALTH_CHECK")
        await agent.accept(job_id)
        await agent.acknowledged(1)
        await agent.send("ACCEPT", seq=1, job_id=job_id, state="accepted")
        await agent.acknowledged(1)
        assert database.jobs[job_id].duplicates == database.seen["duplicate"] == 1
        assert len(database.jobs[job_id].accepts) == 1


async def test_a_gap_is_answered_with_one_nack_until_the_agent_begins_anew(
    peer: ReferencePeer, database: PeerDatabase
) -> None:
    async with welcomed_agent(peer.url) as agent:
        job_id = await peer.submit("HEALTH_CHECK", {})
        await agent.expect("HEALTH_CHECK")
        later = final(job_id)
        await agent.say(later | {"seq": 2})
        assert (await agent.expect("NACK"))["expected"] == 1
        await agent.say(later | {"seq": 3})
        await agent.say(later | {"seq": 2})  # Sent anew, and 1 was lost again.
        assert (await agent.expect("NACK"))["expected"] == 1
        await agent.accept(job_id)
        await agent.finish(job_id)
        await agent.acknowledged(2)
        assert database.seen["gap"] == 3


async def test_a_lost_command_makes_a_gap_and_comes_when_it_is_asked_for(
    peer: ReferencePeer,
) -> None:
    async with welcomed_agent(peer.url) as agent:
        peer.faults.lose = 1
        await peer.submit("HEALTH_CHECK", {})
        await peer.submit("HEALTH_CHECK", {})
        assert (await agent.expect("HEALTH_CHECK"))["seq"] == 2
        await agent.send("NACK", expected=1)
        assert [(await agent.expect("HEALTH_CHECK"))["seq"] for _ in range(2)] == [1, 2]


async def test_it_asks_again_and_says_again_without_need(peer: ReferencePeer) -> None:
    async with welcomed_agent(peer.url) as agent:
        await peer.submit("HEALTH_CHECK", {})
        session = await peer.agent()
        first = await agent.expect("HEALTH_CHECK")
        session.resend(1)
        assert await agent.expect("HEALTH_CHECK") == first
        session.nack(1)
        assert (await agent.expect("NACK"))["expected"] == 1
        session.goaway(0, "moving")
        assert await agent.expect("GOAWAY") == {"type": "GOAWAY", "window_s": 0, "reason": "moving"}


async def test_the_newer_of_two_connections_replaces_the_older(peer: ReferencePeer) -> None:
    async with welcomed_agent(peer.url) as older, scripted_agent(peer.url) as newer:
        first = await peer.agent()
        await newer.hello(peer_epoch=older.welcome["epoch"])
        assert (await older.expect("BYE"))["reason"].startswith("replaced")
        assert await older.closed() == 4409
        assert await peer.agent(after=first) is not first


async def test_a_hello_can_stay_unanswered_or_be_refused(peer: ReferencePeer) -> None:
    peer.faults.swallow_hellos = 1
    async with scripted_agent(peer.url) as ignored:
        await ignored.expect("CHALLENGE")
        await ignored.say(hello())
        async with welcomed_agent(peer.url):
            assert peer.faults.swallow_hellos == 0
    peer.faults.refuse_with = 4403
    async with scripted_agent(peer.url) as refused:
        await refused.expect("CHALLENGE")
        await refused.say(hello())
        await refused.expect("BYE")
        assert await refused.closed() == 4403


async def test_another_token_is_refused(database: PeerDatabase) -> None:
    async with (
        ReferencePeer(database, terms=Terms(token="good")) as peer,
        scripted_agent(peer.url, token="bad") as agent,
    ):
        await agent.expect("CHALLENGE")
        await agent.say(hello())
        await agent.expect("BYE")
        assert await agent.closed() == 4401


async def test_it_closes_with_any_code(peer: ReferencePeer) -> None:
    async with welcomed_agent(peer.url) as agent:
        closing = asyncio.create_task((await peer.agent()).close(4429, "too much"))
        assert await agent.closed() == 4429
        await closing


async def test_it_says_so_when_it_stops(database: PeerDatabase) -> None:
    async with contextlib.AsyncExitStack() as agents:
        async with ReferencePeer(database) as peer:
            agent = await agents.enter_async_context(welcomed_agent(peer.url))
            ended = asyncio.create_task(agent.closed())
        assert await ended == 4503


async def test_heartbeats_come_and_can_be_missing(database: PeerDatabase) -> None:
    terms = Terms(heartbeat_s=0.01)
    async with ReferencePeer(database, terms=terms) as peer, welcomed_agent(peer.url) as agent:
        assert await agent.expect("HEARTBEAT") == {"type": "HEARTBEAT", "ack": 0}
    terms = Terms(heartbeat_s=0.01, silence_s=0.1)
    async with ReferencePeer(database, terms=terms) as peer:
        peer.faults.silent = True
        async with scripted_agent(peer.url) as agent:
            await agent.hello(peer_epoch=database.epoch)
            # Not one heartbeat; after a tenth of a second the link is given up.
            assert await agent.closed() is None


async def test_it_reads_nothing_until_it_is_told(
    peer: ReferencePeer, database: PeerDatabase
) -> None:
    flood = 32
    async with welcomed_agent(peer.url) as agent:
        session = await peer.agent()
        session.stop_reading()
        transport = agent.connection.transport
        transport.set_write_buffer_limits(high=1 << 30)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        for _ in range(flood):
            await agent.send("HEARTBEAT", facts={"x": "x" * 100_000})
        # The kernel takes no more of it, and the rest waits in the agent.
        assert transport.get_write_buffer_size() > 0
        assert session.heartbeats == 0
        session.go_on_reading()
        await database.until(lambda: session.heartbeats == flood or None, "the flood")
