"""The control plane that the agent is tested against on protocol v2, tested with a scripted agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from tests.support.control_plane import deploy_payload
from tests.support.job_output import HEAD_BYTES, JobOutput, OutputDiffers
from tests.support.peer_database import PeerDatabase
from tests.support.reference_peer import ReferencePeer
from tests.support.scripted_agent import (
    chunk,
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


async def test_a_command_is_issued_accepted_and_finished(
    peer: ReferencePeer, database: PeerDatabase
) -> None:
    async with welcomed_agent(peer.url) as agent:
        assert agent.welcome["epoch"] == database.epoch
        assert agent.welcome["last_seq_seen"] == 0
        asking = asyncio.create_task(peer.deploy("Blog", "services: {}", generation=3))
        command = await agent.expect("DEPLOY_COMPOSE")
        assert (command["seq"], command["generation"], command["ack"]) == (1, 3, 0)
        await agent.accept(command["id"], ack=1)
        await agent.acknowledged(1)
        await agent.finish(command["id"])
        await agent.acknowledged(2)
        result = await asking
        assert result["state"] == "succeeded"
        assert database.jobs[command["id"]].state == "succeeded"
        assert database.next_generation("blog") == 4
        assert (await peer.agent()).hello["hostname"] == "host-1"


async def test_a_refusal_is_an_answer(peer: ReferencePeer) -> None:
    async with welcomed_agent(peer.url) as agent:
        job_id = await peer.submit("STATUS", {})
        await agent.expect("STATUS")
        await agent.durable("REJECT", job_id=job_id, reason="invalid_input", error="payload: no")
        assert (await peer.rejected(job_id))["reason"] == "invalid_input"
        with pytest.raises(AssertionError, match="invalid_input"):
            await peer.final(job_id)


async def test_both_sides_go_on_where_they_were(
    peer: ReferencePeer, database: PeerDatabase
) -> None:
    first, second = [database.issue("HEALTH_CHECK", {}) for _ in range(2)]
    async with welcomed_agent(peer.url) as agent:
        assert [(await agent.expect("HEALTH_CHECK"))["seq"] for _ in range(2)] == [1, 2]
        await agent.accept(first, ack=1)
        await agent.acknowledged(1)
    async with scripted_agent(peer.url) as agent:
        welcome = await agent.hello(peer_epoch=database.epoch, last_seq_seen=1)
        assert welcome["last_seq_seen"] == 1
        again = await agent.expect("HEALTH_CHECK")
        assert (again["seq"], again["id"]) == (2, second)
        await agent.finish(first)
        await peer.final(first)


async def test_an_agent_with_a_new_journal_gets_what_is_not_settled(
    peer: ReferencePeer, database: PeerDatabase
) -> None:
    done, running = [database.issue("STOP_COMPOSE", {"project_name": "p"}) for _ in range(2)]
    async with welcomed_agent(peer.url) as agent:
        for job_id in (done, running):
            await agent.expect("STOP_COMPOSE")
            await agent.accept(job_id, ack=agent.seq + 1)
        await agent.finish(done)
        await agent.acknowledged(3)
    await peer.submit("STOP_COMPOSE", {"project_name": "p"}, job_id=done)
    await peer.cancel(running)
    async with scripted_agent(peer.url, epoch="agent-2") as agent:
        await agent.hello()
        command = await agent.expect("STOP_COMPOSE")
        assert (command["id"], command["seq"]) == (running, 1)
        again = await agent.expect("STOP_COMPOSE")  # It is settled, and this was not seen.
        assert (again["id"], again["seq"]) == (done, 2)
        cancel = await agent.expect("CANCEL")
        assert (cancel["job_id"], cancel["seq"]) == (running, 3)
        await agent.finish(done)
        await agent.accept(running)
        await database.final(done, count=2)
        await peer.accepted(running)


async def test_a_restored_database_has_a_new_epoch_and_hears_of_jobs_it_has_forgotten(
    database: PeerDatabase,
) -> None:
    backup = database.snapshot()
    async with ReferencePeer(database) as peer, welcomed_agent(peer.url) as agent:
        job_id = await peer.submit("STOP_COMPOSE", {"project_name": "p"})
        await agent.accept((await agent.expect("STOP_COMPOSE"))["id"])
        await agent.finish(job_id)
        await peer.final(job_id)
        met = agent.welcome["epoch"]
    database.restore(backup)
    assert database.jobs == {}
    async with ReferencePeer(database) as peer, scripted_agent(peer.url) as agent:
        welcome = await agent.hello(peer_epoch=met, last_seq_seen=1)
        assert welcome["epoch"] == database.epoch != met
        assert welcome["last_seq_seen"] == 0
        await agent.finish(job_id)
        await peer.final(job_id)
        assert database.unknown_jobs == [job_id]


async def test_no_more_than_the_window_is_sent(peer: ReferencePeer) -> None:
    async with welcomed_agent(peer.url) as agent:
        for _ in range(300):
            await peer.submit("HEALTH_CHECK", {})
        for seq in range(1, 257):
            assert (await agent.expect("HEALTH_CHECK"))["seq"] == seq
        (await peer.agent()).goaway(0)
        await agent.expect("GOAWAY")  # And not command 257.
        await agent.send("ACK", ack=1)
        assert (await agent.expect("HEALTH_CHECK"))["seq"] == 257


async def test_one_message_may_be_under_way_whatever_its_size(peer: ReferencePeer) -> None:
    async with welcomed_agent(peer.url) as agent:
        for _ in range(2):
            await peer.submit("DEPLOY_COMPOSE", deploy_payload("p", "#" * (1 << 20)))
        assert (await agent.expect("DEPLOY_COMPOSE"))["seq"] == 1
        (await peer.agent()).goaway(0)
        await agent.expect("GOAWAY")
        await agent.send("ACK", ack=1)
        assert (await agent.expect("DEPLOY_COMPOSE"))["seq"] == 2


async def test_output_is_put_together_acknowledged_and_compared(
    peer: ReferencePeer, database: PeerDatabase
) -> None:
    async with welcomed_agent(peer.url) as agent:
        job_id = await peer.submit("STOP_COMPOSE", {"project_name": "p"})
        await agent.expect("STOP_COMPOSE")
        await agent.accept(job_id)
        await agent.acknowledged(1)
        await agent.say(chunk(job_id, b"one \xff"))
        position = {"step": "apply", "attempt": 1, "offset": 5}
        assert (await agent.expect("ACK"))["output_seen"] == {job_id: position}
    printed = b"one \xfftwo"
    async with scripted_agent(peer.url) as agent:
        welcome = await agent.hello(peer_epoch=database.epoch, last_seq_seen=1)
        assert welcome["output_seen"] == {job_id: position}
        summary = {"step": "apply", "attempt": 1, "exit_code": 0, "length": 8, "truncated": False}
        await agent.finish(job_id, output=[summary | {"sha256": sha256(printed).hexdigest()}])
        await peer.final(job_id)
        assert not database.jobs[job_id].has_all_output
        await agent.say(chunk(job_id, b"two", 5))
        assert await database.output(job_id) == {("apply", 1): printed}
        await agent.say(chunk(job_id, b"Two", 5))
        with pytest.raises(AssertionError, match="are not the same"):
            await database.until(lambda: None, "a violation")
        database.violations.clear()


def test_of_an_output_that_is_not_kept_whole_the_middle_may_be_missing() -> None:
    output = JobOutput()
    output.take(0, b"h" * HEAD_BYTES)
    assert output.position == HEAD_BYTES
    output.take(HEAD_BYTES + 1000, b"tail")
    assert output.position == HEAD_BYTES + 1004
    summary = {"exit_code": 0, "length": HEAD_BYTES + 1004, "sha256": "", "truncated": True}
    assert output.is_complete(summary)
    assert not output.is_complete(summary | {"truncated": False})
    with pytest.raises(OutputDiffers, match="came of an output"):
        output.is_complete(summary | {"length": 9})


def test_pieces_may_come_in_any_order_and_overlap() -> None:
    output = JobOutput()
    for offset, piece in ((4, b"ef"), (0, b"ab"), (1, b"bcde"), (4, b"efg"), (0, b"a")):
        output.take(offset, piece)
    assert output.pieces == [(0, b"abcdefg")]
    assert not output.has_gap
    assert output.position == 7


@pytest.mark.parametrize("subprotocol", [None, "instadeploy.v1"])
async def test_it_speaks_v1_where_that_is_chosen(
    database: PeerDatabase, subprotocol: str | None
) -> None:
    async with (
        ReferencePeer(database, subprotocol=subprotocol) as peer,
        scripted_agent(peer.url) as agent,
    ):
        assert agent.connection.subprotocol == subprotocol
        asking = asyncio.create_task(peer.health())
        command = await agent.receive()
        assert command.keys() == {"id", "type", "payload"}
        answer = {"job_id": command["id"], "status": "IN_PROGRESS", "logs": "Command received"}
        await agent.connection.send(json.dumps(answer))
        for _ in range(2):
            await agent.connection.send(json.dumps(answer | {"status": "COMPLETED"}))
        assert (await asking)["status"] == "COMPLETED"
        job = database.jobs[command["id"]]
        await database.until(lambda: job.duplicates or None, "the duplicate")
        assert len(job.finals) == 1
