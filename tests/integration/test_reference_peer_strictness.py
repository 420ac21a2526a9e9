"""What the control plane that the agent is tested against takes exception to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest

from tests.support.agent_frames import ViolationFound, read_frame
from tests.support.peer_database import PeerDatabase
from tests.support.reference_peer import ReferencePeer
from tests.support.scripted_agent import ScriptedAgent, chunk, final, hello, scripted_agent

EMPTY = {
    "step": "apply",
    "attempt": 1,
    "exit_code": 0,
    "length": 0,
    "sha256": sha256(b"").hexdigest(),
    "truncated": False,
}
FAILED = {"status": "FAILED", "state": "failed", "error": "no", "data": {"reason": "deadline"}}


@pytest.fixture
def database() -> PeerDatabase:
    return PeerDatabase(strict=False)


@pytest.fixture
async def peer(database: PeerDatabase) -> AsyncIterator[ReferencePeer]:
    async with ReferencePeer(database) as listening:
        yield listening


@pytest.fixture
async def agent(peer: ReferencePeer) -> AsyncIterator[ScriptedAgent]:
    """Two commands with ids `a` and `b` were sent to it."""
    async with scripted_agent(peer.url) as connected:
        await connected.hello()
        for job_id in "ab":
            await peer.submit("STOP_COMPOSE", {"project_name": "p"}, job_id=job_id, generation=7)
            await connected.expect("STOP_COMPOSE")
        yield connected


@pytest.mark.parametrize(
    "message",
    [
        hello(running=[{"job_id": "a", "state": "running"}], generations={"p": 1}),
        {"type": "ACCEPT", "seq": 1, "job_id": "a", "state": "succeeded", "repeat": True, "ack": 0},
        {"type": "REJECT", "seq": 1, "job_id": "a", "reason": "busy", "error": "x", "data": {}},
        chunk("a", b"text"),
        chunk("a", b"\xff" * (64 << 10)),
        final("a", seq=1, output=[EMPTY]),
        final("a", seq=1, **FAILED, output=[EMPTY | {"exit_code": None, "sha256": ""}]),
        {"type": "HEARTBEAT", "facts": {}},
        {"type": "NACK", "expected": 1},
    ],
)
def test_what_the_document_allows_is_taken(message: dict[str, Any]) -> None:
    assert read_frame(json.dumps(message)) == message


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (b"{}", "binary"),
        ("[1]", "not a JSON object"),
        ('{"type": "ACK", "ack": 1, "ack": 1}', "twice"),
        ('{"type": "HEARTBEAT", "facts": {"load": NaN}}', "no number"),
        ('{"type": "HEARTBEAT", "facts": {"load": 1e999}}', "no number"),
        ('{"type": "BYE", "reason": "\u00fc"}', "ASCII"),
        ('{"type": "BYE", "reason": "' + "x" * (1 << 20) + '"}', "1048"),
        ('{"type": "HEARTBEAT", "facts": {"a": ' + "[" * 32 + "]" * 32 + "}}", "deeper"),
        ('{"type": "BYE", "reason": "\\ud800"}', "not a string"),
        ('{"type": "RESTART"}', "no message of type 'RESTART'"),
        ('{"type": "FINAL"}', "no message of type 'FINAL'"),
        ('{"type": "ACK"}', "'ack'.* missing"),
        ('{"type": "ACK", "ack": true}', "not a whole number"),
        ('{"type": "ACK", "ack": 1, "more": 1}', "not documented"),
    ],
)
def test_a_frame_that_is_no_message_is_a_violation(frame: str | bytes, fault: str) -> None:
    with pytest.raises(ViolationFound, match=fault):
        read_frame(frame)


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (hello(nonce="short"), "nonce"),
        (hello(running=[{"job_id": "a", "state": "failed"}]), "running"),
        (hello(running=2 * [{"job_id": "a", "state": "running"}]), "runs twice"),
        (hello(generations={"p": 0}), "generations"),
        ({"type": "ACCEPT", "seq": 1, "job_id": "a", "state": "done"}, "not a state"),
        ({"type": "ACCEPT", "seq": 1, "job_id": "a", "state": ["failed"]}, "not a state"),
        (chunk("a", b""), "length"),
        (chunk("a", b"x" * ((64 << 10) + 1)), "length"),
        (chunk("a", b"text") | {"length": 5}, "length is not"),
        (chunk("a", b"\xff") | {"logs": "x"}, "both there"),
        (chunk("a", b"\xff") | {"output_base64": "eA=="}, "UTF-8 is sent as base64"),
        (chunk("a", b"\xff") | {"output_base64": "!"}, "not base64"),
        (final("a", seq=1, state="failed"), "disagree"),
        (final("a", seq=1, error="no"), "only then"),
        (final("a", seq=1, **FAILED | {"data": {}}), "data.reason"),
        (final("a", seq=1, **FAILED | {"state": "superseded"}), "superseded_by"),
        (final("a", seq=1, output=[EMPTY, EMPTY]), "attempt twice"),
        (final("a", seq=1, output=[EMPTY | {"attempt": 4}]), "output"),
        (final("a", seq=1, output=[EMPTY | {"sha256": "ab"}]), "output"),
        (final("a", seq=1, output=[EMPTY | {"sha256": ""}]), "no SHA-256"),
        (final("a"), "'seq'.* missing"),
    ],
)
def test_a_message_that_breaks_a_rule_is_a_violation(message: dict[str, Any], fault: str) -> None:
    with pytest.raises(ViolationFound, match=fault):
        read_frame(json.dumps(message))


async def test_a_violation_is_answered_and_changes_nothing(
    agent: ScriptedAgent, database: PeerDatabase
) -> None:
    await agent.send("ACK", ack=-1)
    assert (await agent.expect("ERROR"))["code"] == "protocol"
    await agent.accept("a")
    await agent.acknowledged(1)
    assert len(database.violations) == 1
    database.strict = True
    with pytest.raises(AssertionError, match="violated protocol v2"):
        await database.final("a")
    database.strict = False


async def test_a_durable_message_that_cannot_be_used_ends_the_link(agent: ScriptedAgent) -> None:
    await agent.durable("ACCEPT", job_id="a", state="fine")
    await agent.expect("ERROR")
    await agent.expect("BYE")
    assert await agent.closed() == 4400


async def test_before_welcome_only_hello_is_heard(peer: ReferencePeer) -> None:
    async with scripted_agent(peer.url) as agent:
        await agent.send("ERROR", code="protocol_remote", error="nothing is amiss with this")
        await agent.send("ACK", ack=0)
        await agent.expect("CHALLENGE")
        await agent.expect("BYE")
        assert await agent.closed() == 4400
        assert peer.database.violations == ["ACK before WELCOME"]


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (["accept a", "accept a"], "not asked"),
        (["accept z"], "not asked"),
        (["finish a"], "not accepted"),
        (["accept a", "finish a", "finish a"], "too many"),
        (["accept a", "accept b"], "generation 7 is accepted after 7"),
        (["repeat a"], "new a repeat"),
    ],
)
async def test_what_one_message_may_say_another_may_forbid(
    agent: ScriptedAgent, database: PeerDatabase, said: list[str], fault: str
) -> None:
    for verb, job_id in (step.split() for step in said):
        if verb == "finish":
            await agent.finish(job_id)
        else:
            await agent.accept(job_id, **({"repeat": True} if verb == "repeat" else {}))
    await agent.acknowledged(len(said))
    assert fault in database.violations[0]


async def test_a_command_is_accepted_as_new_once_and_its_result_never_changes(
    agent: ScriptedAgent, peer: ReferencePeer, database: PeerDatabase
) -> None:
    await agent.accept("a")
    await agent.finish("a")
    await peer.submit("STOP_COMPOSE", {"project_name": "p"}, job_id="a")
    await agent.accept("a")
    await agent.finish("a", logs="another")
    await database.final("a", count=2)
    assert "is accepted, and was succeeded" in database.violations[0]
    assert "accepted as new twice" in database.violations[1]
    assert "two results" in database.violations[-1]


async def test_an_agent_may_not_acknowledge_what_was_not_sent(
    agent: ScriptedAgent, database: PeerDatabase
) -> None:
    await agent.send("ACK", ack=3)
    await agent.expect("ERROR")
    await agent.send("NACK", expected=3)
    await agent.expect("ERROR")
    assert ["acknowledges 3" in database.violations[0], len(database.violations)] == [True, 2]


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"last_seq_seen": 1}, "forgot messages up to 2"),
        ({"last_seq_seen": 3}, "acknowledges 3 of 2"),
        ({"peer_epoch": ""}, "forgot the epoch"),
        ({"epoch": "agent-2"}, "seen nothing yet"),
        ({"generations": {}}, "forgot generation 7 of p"),
        ({"running": [{"job_id": "a", "state": "running"}]}, "a runs, and was succeeded"),
    ],
)
async def test_an_agent_that_has_forgotten_is_found_out(
    agent: ScriptedAgent,
    peer: ReferencePeer,
    database: PeerDatabase,
    said: dict[str, Any],
    fault: str,
) -> None:
    await agent.accept("a", ack=2)
    await agent.finish("a")
    await agent.acknowledged(2)
    assert database.violations == []
    known = {"peer_epoch": database.epoch, "last_seq_seen": 2, "generations": {"P": 7}}
    async with scripted_agent(peer.url) as returning:
        await returning.hello(**known | said)
        assert fault in database.violations[0]


async def test_more_than_the_window_is_noticed(
    agent: ScriptedAgent, peer: ReferencePeer, database: PeerDatabase
) -> None:
    peer.faults.withhold_acks = True
    for _ in range(254):
        await peer.submit("STOP_COMPOSE", {"project_name": "p"}, job_id="a")
    await agent.accept("a")
    for _ in range(254):
        await agent.accept("a", repeat=True)
    await agent.finish("a")
    await database.final("a")
    assert database.violations == []
    await agent.accept("b", repeat=True)
    await database.until(lambda: database.violations or None, "a violation")
    assert "more than the window" in database.violations[0]


async def test_how_much_output_of_a_step_is_under_way_is_noted(
    agent: ScriptedAgent, peer: ReferencePeer, database: PeerDatabase
) -> None:
    await agent.accept("a")
    peer.faults.hold_commits = True
    piece = b"x" * (64 << 10)
    for number in range(4):
        await agent.say(chunk("a", piece, number * len(piece)))
    await agent.say(chunk("a", piece) | {"attempt": 2})
    await agent.say(chunk("b", b"x"))
    await database.until(lambda: database.output_ahead.get("b"), "all of it")
    assert database.output_ahead == {"a": 4 * len(piece), "b": 1}
    assert database.violations == []


async def test_output_comes_once_on_a_link(agent: ScriptedAgent, database: PeerDatabase) -> None:
    await agent.accept("a")
    await agent.say(chunk("a", b"one"))
    await agent.say(chunk("a", b"ne two", 1))
    await database.until(lambda: database.violations or None, "a violation")
    (violation,) = database.violations
    assert "what it knows is here, bytes 1 to 3: ('a', 'apply', 1)" in violation


@pytest.mark.parametrize(("step", "is_known"), [("apply", True), ("validate", False)])
async def test_output_comes_again_but_of_the_step_that_welcome_names(
    agent: ScriptedAgent, peer: ReferencePeer, database: PeerDatabase, step: str, is_known: bool
) -> None:
    await agent.accept("a", ack=2)
    for begun in ("validate", "apply"):
        await agent.say(chunk("a", b"one") | {"step": begun})
    await database.until(lambda: len(database.jobs["a"].outputs) == 2 or None, "both")
    async with scripted_agent(peer.url) as returning:
        known = {"peer_epoch": database.epoch, "last_seq_seen": 2, "generations": {"p": 7}}
        welcome = await returning.hello(**known)
        assert welcome["output_seen"] == {"a": {"step": "apply", "attempt": 1, "offset": 3}}
        await returning.say(chunk("a", b"one") | {"step": step})
        await returning.say(chunk("b", b"one"))
        await database.until(lambda: "b" in database.jobs or None, "what comes behind it")
    assert len(database.violations) == is_known


async def test_what_went_on_last_is_named(agent: ScriptedAgent, database: PeerDatabase) -> None:
    await agent.accept("a")
    await agent.say(chunk("a", b"one"))
    await agent.say(chunk("a", b"spoken") | {"step": "validate"})
    await agent.say(chunk("a", b" two", 3))
    named = {"step": "apply", "attempt": 1, "offset": 7}
    await database.until(lambda: database.jobs["a"].position == named or None, "its name")


async def test_of_a_step_that_is_over_any_output_may_be_under_way(
    agent: ScriptedAgent, peer: ReferencePeer, database: PeerDatabase
) -> None:
    await agent.accept("a")
    peer.faults.hold_commits = True
    piece = b"x" * (64 << 10)
    for number in range(8):
        await agent.say(chunk("a", piece, number * len(piece)))
    said = {"length": 8 * len(piece), "sha256": sha256(8 * piece).hexdigest()}
    await agent.finish("a", output=[EMPTY | said])
    await database.until(lambda: database.output_ahead.get("a") == 8 * len(piece) or None, "it")
    peer.heal()
    await database.final("a")
    assert database.jobs["a"].has_all_output
    assert database.violations == []


async def test_output_that_is_not_what_the_result_says_is_noticed(
    agent: ScriptedAgent, database: PeerDatabase
) -> None:
    await agent.accept("a")
    await agent.say(chunk("a", b"text"))
    await agent.finish("a", output=[EMPTY | {"length": 4}])
    await database.final("a")
    assert database.violations == ["a: the SHA-256 is another one"]


async def test_leaving_the_context_raises_what_was_noticed() -> None:
    database = PeerDatabase()

    async def misbehave() -> None:
        async with ReferencePeer(database) as peer, scripted_agent(peer.url) as agent:
            await agent.hello()
            await agent.send("BYE")
            await agent.expect("ERROR")

    with pytest.raises(AssertionError, match="reason"):
        await asyncio.wait_for(misbehave(), 20)
