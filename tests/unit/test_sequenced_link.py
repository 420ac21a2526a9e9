"""An agent on links of protocol v2, as its control plane sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from adapters.in_memory.transport import (
    InMemoryLink,
    InMemorySequencedLink,
    InMemorySequencedTransport,
)
from adapters.wire.codec_v2 import encode_heard
from application.agent import sequenced_link
from application.agent.connection import REFUSED_DELAY_S
from application.agent.job_book import JournalFailed
from application.agent.sequenced_link import BYE_S, SEND_S
from domain.commands import CheckHealth, Command, DeployCompose, GetStatus, StopCompose
from domain.errors import TransportRefused
from domain.job import JobState
from domain.link_messages import (
    Acknowledge,
    Bye,
    CancelMessage,
    Challenge,
    CommandMessage,
    Ending,
    GoAway,
    Heard,
    Heartbeat,
    MissedMessage,
    OutputPosition,
    PeerError,
    Welcome,
)
from domain.link_status import Standing
from domain.records import EpochBegun, PeerConfirmed, PeerMet
from domain.session import OPENING_S, SILENCE_S, UNACKNOWLEDGED_S
from tests.builders import compose_content, deploy, frame, status, stop
from tests.fakes.agent import FakeAgent
from tests.fakes.clock import settle
from tests.fakes.compose_runtime import Scripted
from tests.fakes.handler import FakeHandler
from tests.fakes.handlers import Handlers
from tests.fakes.machine import FakeMachine

CHALLENGE = Challenge("c" * 16)


class Bench:
    """An agent over links of memory; give it a machine to be the next agent on that."""

    def __init__(self, machine: FakeMachine | None = None) -> None:
        self.machine = FakeMachine() if machine is None else machine
        self.clock = self.machine.clock
        self.transport = InMemorySequencedTransport()
        self.handler = FakeHandler()
        self.parts = FakeAgent(self.machine, self.handlers(), transport=self.transport)
        self.seq = 0

    def handlers(self) -> Mapping[type[Any], Any]:
        return dict.fromkeys((DeployCompose, StopCompose, GetStatus, CheckHealth), self.handler)

    @property
    def ledger(self) -> Any:
        return self.parts.book.ledger

    async def link(self) -> InMemorySequencedLink:
        """The next link that the agent makes."""
        return await self.transport.links.get()

    async def opened(
        self, epoch: str = "peer", has: int = 0, **welcome: Any
    ) -> InMemorySequencedLink:
        """The next link, through the opening, and with nothing on it that was not looked at."""
        link = await self.link()
        tell(link, CHALLENGE)
        await settle()
        (hello,) = said(link)
        assert hello["type"] == "HELLO"
        tell(link, Welcome("session", epoch, has, **welcome))
        await settle()
        first = said(link)
        if [message["type"] for message in first] != ["ACK"]:
            for message in first:
                link.to_control_plane.put_nowait(json.dumps(message))
        return link

    async def reopened(
        self, lost: InMemorySequencedLink, epoch: str = "peer", has: int = 0, **welcome: Any
    ) -> InMemorySequencedLink:
        """Cut a link, let the time pass until the agent comes back, and go through the opening."""
        lost.lost.set()
        for _ in range(10):
            await settle()
            if not self.transport.links.empty():
                break
            await self.clock.advance(1)
        link = self.transport.links.get_nowait()
        tell(link, CHALLENGE)
        await settle()
        said(link)
        tell(link, Welcome("session", epoch, has, **welcome))
        await settle()
        return link

    def command(
        self, link: InMemorySequencedLink, job_id: str, command: Command, **more: Any
    ) -> None:
        self.seq += 1
        tell(link, CommandMessage(self.seq, job_id, command, **more))

    def cancel(self, link: InMemorySequencedLink, job_id: str) -> None:
        self.seq += 1
        tell(link, CancelMessage(self.seq, job_id))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        async with self.parts.running():
            yield self


class DeployingBench(Bench):
    """The handlers that production has, on a host in memory."""

    def handlers(self) -> Mapping[type[Any], Any]:
        return Handlers(self.machine.parts, self.machine.book()).by_command


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench().running() as running:
        yield running


@pytest.fixture
async def deploying() -> AsyncIterator[DeployingBench]:
    bench = DeployingBench()
    async with bench.running():
        yield bench


def tell(link: InMemorySequencedLink, *messages: Heard) -> None:
    for message in messages:
        link.to_agent.put_nowait(encode_heard(message))


def said(link: InMemorySequencedLink) -> list[dict[str, Any]]:
    """What the agent has said and was not looked at."""
    found: list[dict[str, Any]] = []
    while not link.to_control_plane.empty():
        found.append(json.loads(link.to_control_plane.get_nowait()))
    return found


def told(link: InMemorySequencedLink) -> list[tuple[int, str, str]]:
    """The durable messages that the agent has said: number, type or state, and job."""
    return [
        (m["seq"], m["state"] if m["type"] == "RESPONSE" else m["type"], m["job_id"])
        for m in said(link)
        if "seq" in m
    ]


# The opening.


async def test_the_agent_says_who_it_is_once_it_is_challenged_and_not_before(
    bench: Bench,
) -> None:
    link = await bench.link()
    await settle()
    assert said(link) == []
    tell(link, CHALLENGE)
    await settle()
    (hello,) = said(link)
    assert len(hello.pop("nonce")) == 32
    assert hello == {
        "type": "HELLO",
        "epoch": bench.ledger.epoch,
        "peer_epoch": "",
        "last_seq_seen": 0,
        "version": "1.0.0",
        "architecture": "linux-amd64",
        "hostname": "web-1",
        "capabilities": ["output", "cancel"],
        "running": [],
        "generations": {},
    }


async def test_each_link_has_a_nonce_of_its_own(bench: Bench) -> None:
    nonces = set()
    for _ in range(2):
        link = await bench.link()
        tell(link, CHALLENGE)
        await settle()
        nonces.add(said(link)[0]["nonce"])
        link.lost.set()
        await bench.clock.advance(2)
    assert len(nonces) == 2


async def test_a_control_plane_that_is_met_is_remembered_before_anything_is_taken_from_it(
    bench: Bench,
) -> None:
    link = await bench.link()
    tell(link, CHALLENGE)
    await settle()
    said(link)
    bench.machine.disk.hold()
    tell(link, Welcome("session", "peer", 0), CommandMessage(1, "j1", deploy()))
    await settle()
    assert said(link) == []
    assert bench.handler.started == []
    bench.machine.disk.release()
    await settle()
    assert PeerMet("peer") in bench.machine.disk.records
    assert told(link) == [(1, "ACCEPT", "j1"), (2, "succeeded", "j1")]
    assert bench.handler.started == [deploy()]


@pytest.mark.parametrize("is_challenged", [False, True])
async def test_an_opening_that_takes_too_long_is_given_up(
    bench: Bench, is_challenged: bool
) -> None:
    link = await bench.link()
    await settle()
    if is_challenged:
        await bench.clock.advance(OPENING_S / 2)
        tell(link, CHALLENGE)
    await bench.clock.advance(OPENING_S - 1)
    assert not link.lost.is_set()
    await bench.clock.advance(1)
    assert link.ending is Ending.VIOLATION
    assert link.close_reason == f"no {'WELCOME' if is_challenged else 'CHALLENGE'} came within 10 s"
    await bench.clock.advance(1)
    await bench.link()


async def test_a_command_before_the_opening_is_over_is_a_violation(bench: Bench) -> None:
    link = await bench.link()
    tell(link, CommandMessage(1, "j1", deploy()))
    await settle()
    assert link.ending is Ending.VIOLATION
    assert bench.handler.started == []


async def test_who_is_not_who_it_says_it_is_tries_again_slowly(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    link = await bench.link()
    tell(link, CHALLENGE)
    await settle()
    link.end = TransportRefused(
        "cp.example does not accept who this agent says it is (close code 4401)",
        advice="check AGENT_SECRET_TOKEN",
    )
    link.lost.set()
    await bench.clock.advance(119)
    assert bench.transport.attempts == 1
    assert "check AGENT_SECRET_TOKEN; trying again in 120 s" in caplog.text
    await bench.clock.advance(1)
    assert bench.transport.attempts == 2


# Commands and their answers.


async def test_a_command_is_accepted_once_it_is_durable_and_then_answered(bench: Bench) -> None:
    link = await bench.opened()
    bench.machine.disk.hold()
    bench.command(link, "j1", deploy())
    await settle()
    assert said(link) == []
    bench.machine.disk.release()
    await settle()
    assert said(link) == [
        {"type": "ACCEPT", "seq": 1, "job_id": "j1", "state": "accepted", "ack": 1},
        {
            "type": "RESPONSE",
            "seq": 2,
            "job_id": "j1",
            "status": "COMPLETED",
            "state": "succeeded",
            "logs": "done",
            "final": True,
            "output": [],
            "ack": 1,
        },
    ]


async def test_pipelined_commands_are_decided_in_their_order(bench: Bench) -> None:
    link = await bench.opened()
    bench.handler.gate.clear()
    for number, generation in enumerate([1, 2, 2, 5, 4, 6], start=1):
        bench.command(link, f"j{number}", stop("blog"), generation=generation)
    await settle(200)
    assert [(kind, job_id) for _, kind, job_id in told(link)] == [
        ("ACCEPT", "j1"),
        ("ACCEPT", "j2"),
        ("REJECT", "j3"),
        ("ACCEPT", "j4"),
        ("REJECT", "j5"),
        ("ACCEPT", "j6"),
    ]


async def test_a_refusal_has_its_number_and_its_reason(bench: Bench) -> None:
    link = await bench.opened()
    link.to_agent.put_nowait(
        json.dumps({"type": "REBOOT", "id": "j1", "seq": 1, "payload": {}, "ack": 0})
    )
    bench.machine.disk.is_full = True
    await settle()
    tell(link, CommandMessage(2, "j2", deploy()))
    await settle()
    first, second = said(link)
    assert (first["type"], first["seq"], first["job_id"]) == ("REJECT", 1, "j1")
    assert (first["reason"], first["data"]) == ("unknown_command", {"field": "type"})
    assert (second["type"], second["seq"], second["reason"]) == ("REJECT", 2, "no_space")
    assert second["ack"] == 2


async def test_a_command_that_comes_again_is_accepted_as_a_repeat_and_told_its_result(
    bench: Bench,
) -> None:
    link = await bench.opened()
    bench.command(link, "j1", deploy())
    await settle()
    tell(link, Acknowledge(2))
    await settle()
    said(link)
    bench.command(link, "j1", deploy())
    await settle()
    accept, result = said(link)
    assert accept == {
        "type": "ACCEPT",
        "seq": 3,
        "job_id": "j1",
        "state": "succeeded",
        "repeat": True,
        "ack": 2,
    }
    assert (result["seq"], result["state"], result["logs"]) == (4, "succeeded", "done")
    assert bench.handler.started == [deploy()]


async def test_a_message_that_comes_again_on_one_link_is_acknowledged_and_nothing_else(
    bench: Bench,
) -> None:
    link = await bench.opened()
    bench.command(link, "j1", deploy())
    await settle()
    said(link)
    tell(link, CommandMessage(1, "j1", deploy()))
    await settle()
    assert said(link) == [{"type": "ACK", "ack": 1}]
    assert bench.handler.started == [deploy()]


async def test_a_gap_is_told_once_and_what_follows_it_is_not_acted_on(bench: Bench) -> None:
    link = await bench.opened()
    for seq in (2, 3, 4):
        tell(link, CommandMessage(seq, f"j{seq}", deploy(f"p{seq}")))
    await settle()
    assert said(link) == [{"type": "NACK", "expected": 1, "ack": 0}]
    assert bench.handler.started == []
    for seq in (1, 2, 3, 4):
        tell(link, CommandMessage(seq, f"j{seq}", deploy(f"p{seq}")))
    await settle()
    assert len(bench.handler.ended) == 4


async def test_what_the_peer_missed_is_sent_again(bench: Bench) -> None:
    link = await bench.opened()
    bench.command(link, "j1", deploy())
    await settle()
    assert told(link) == [(1, "ACCEPT", "j1"), (2, "succeeded", "j1")]
    tell(link, MissedMessage(2))
    await settle()
    assert told(link) == [(2, "succeeded", "j1")]


async def test_a_frame_that_is_no_message_is_answered_with_an_error_and_the_link_stays(
    bench: Bench,
) -> None:
    link = await bench.opened()
    for raw in ("nonsense", "[]", '{"type": "NOISE"}', '{"type": "ACK", "ack": "one"}', b"\xff"):
        link.to_agent.put_nowait(raw)
    bench.command(link, "j1", deploy())
    await settle()
    types = [message["type"] for message in said(link)]
    assert types.count("ERROR") == 5
    assert "ACCEPT" in types
    assert not link.lost.is_set()


async def test_an_error_of_the_peers_is_logged_in_bounded_length(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    link = await bench.opened()
    tell(link, PeerError("invalid_input", "seq: must not be" + "x" * 5000))
    await settle()
    (line,) = [r.getMessage() for r in caplog.records if "cannot use what it got" in r.message]
    assert "invalid_input: seq: must not be" in line
    assert len(line) < 1000
    assert said(link) == []


# Output.


async def test_output_is_sent_while_a_step_runs_and_the_result_comes_behind_all_of_it(
    deploying: DeployingBench,
) -> None:
    up = deploying.machine.runtime.script("up", Scripted(output=b"pulling\n", hangs=True))
    link = await deploying.opened()
    deploying.command(link, "j1", deploy())
    await up.started.wait()
    await deploying.clock.advance(1)
    accept, *spoken, chunk = [message for message in said(link) if message["type"] != "ACK"]
    assert accept["type"] == "ACCEPT"
    assert [(one["step"], one["logs"]) for one in spoken] == [
        ("validate", "1 service: web\n"),
        ("policy", "allowed by the host's policy (permissive)\n"),
    ]
    assert chunk == {
        "type": "RESPONSE",
        "job_id": "j1",
        "status": "IN_PROGRESS",
        "logs": "pulling\n",
        "step": "apply",
        "attempt": 1,
        "offset": 0,
        "length": 8,
    }
    up.release.set()
    await deploying.clock.advance(2)
    *chunks, final = said(link)
    printed = "pulling\n" + "".join(one["logs"] for one in chunks if one["step"] == "apply")
    assert {one["step"] for one in chunks} == {"apply", "wait", "verify"}
    assert final["logs"].endswith(f"Output:\n{printed}")
    assert (final["seq"], final["state"], final["final"]) == (2, "succeeded", True)
    assert [(step["step"], step["exit_code"], step["length"]) for step in final["output"]] == [
        ("apply", 0, len(printed)),
    ]


async def test_a_step_that_runs_is_told_in_hello_and_its_output_goes_on_where_the_peer_has_it(
    deploying: DeployingBench,
) -> None:
    up = deploying.machine.runtime.script("up", Scripted(output=b"pulling\nmore\n", hangs=True))
    link = await deploying.opened()
    deploying.command(link, "j1", deploy(), generation=3)
    await up.started.wait()
    await deploying.clock.advance(1)
    link.lost.set()
    await deploying.clock.advance(1)
    again = await deploying.link()
    tell(again, CHALLENGE)
    await settle()
    (hello,) = said(again)
    assert hello["running"] == [
        {
            "job_id": "j1",
            "state": "running",
            "output": {"step": "apply", "attempt": 1, "offset": 13},
        }
    ]
    assert (hello["peer_epoch"], hello["last_seq_seen"]) == ("peer", 1)
    assert hello["generations"] == {"blog": 3}
    position = OutputPosition("apply", 1, 8)
    tell(again, Welcome("session", "peer", 1, output_seen={"j1": position}))
    await deploying.clock.advance(1)
    (chunk,) = [message for message in said(again) if message.get("step") == "apply"]
    assert (chunk["offset"], chunk["logs"]) == (8, "more\n")
    up.release.set()
    await settle()


async def test_the_next_agent_tells_the_output_that_was_printed_before_it_and_then_the_result() -> (
    None
):
    first = DeployingBench()
    up = first.machine.runtime.script("up", Scripted(output=b"pulling\n", hangs=True))
    async with first.running():
        link = await first.opened()
        first.command(link, "j1", deploy())
        await up.started.wait()
        await settle()
    next_one = DeployingBench(first.machine)
    async with next_one.running():
        again = await next_one.opened(has=1)
        up.release.set()
        await next_one.clock.advance(2)
        messages = [message for message in said(again) if message["type"] == "RESPONSE"]
        first_printed = next(one for one in messages if one["step"] == "apply")
        assert first_printed["offset"] == 0
        assert first_printed["logs"].startswith("pulling\n")
        assert messages[-1]["state"] == "succeeded"
        assert next_one.machine.runtime.names_of("up") == ["blog"]


async def test_output_is_cleared_away_once_the_result_is_confirmed(
    deploying: DeployingBench,
) -> None:
    link = await deploying.opened()
    deploying.command(link, "j1", deploy())
    await deploying.clock.advance(2)
    assert len(deploying.machine.executor.runs) == 1
    tell(link, Acknowledge(2))
    await settle()
    assert deploying.machine.executor.runs == {}


# Cancelling.


async def test_a_job_that_runs_is_canceled(deploying: DeployingBench) -> None:
    up = deploying.machine.runtime.script("up", Scripted(output=b"pulling\n", hangs=True))
    link = await deploying.opened()
    deploying.command(link, "j1", deploy())
    await up.started.wait()
    deploying.cancel(link, "j1")
    await deploying.clock.advance(2)
    final = said(link)[-1]
    assert (final["status"], final["state"], final["logs"]) == ("FAILED", "canceled", "pulling\n")
    data = final["data"]
    assert (data["reason"], data["revision"], data["rolled_back_to"]) == ("canceled", 1, None)
    assert [(one["step"], one["state"]) for one in data["steps"]][-2:] == [
        ("apply", "canceled"),
        ("take away", "ok"),
    ]
    assert final["ack"] == 2
    assert deploying.machine.runtime.cancelled == [("up", "blog")]


async def test_a_job_that_waits_is_canceled_at_once(bench: Bench) -> None:
    bench.handler.gate.clear()
    link = await bench.opened()
    bench.command(link, "j1", deploy())
    bench.command(link, "j2", stop())
    bench.cancel(link, "j2")
    await settle()
    assert (3, "canceled", "j2") in told(link)
    assert bench.handler.started == [deploy()]


# The end of a link.


async def test_what_was_not_confirmed_is_sent_again_on_the_next_link_and_the_rest_is_not(
    bench: Bench,
) -> None:
    link = await bench.opened()
    for number in range(1, 4):
        bench.command(link, f"j{number}", deploy(f"p{number}"))
    await settle()
    everything = told(link)
    assert len(everything) == 6
    again = await bench.reopened(link, has=4)
    assert told(again) == everything[4:]
    assert bench.ledger.confirmed == 4
    tell(again, Acknowledge(6))
    await settle()
    third = await bench.reopened(again, has=6)
    assert told(third) == []
    assert len(bench.handler.started) == 3


async def test_a_job_goes_on_without_a_link_and_its_result_comes_on_the_next_one(
    bench: Bench,
) -> None:
    bench.handler.gate.clear()
    link = await bench.opened()
    bench.command(link, "j1", deploy())
    await settle()
    link.lost.set()
    await settle()
    bench.handler.gate.set()
    await settle()
    assert bench.handler.cancelled == []
    again = await bench.reopened(link, has=1)
    assert told(again) == [(2, "succeeded", "j1")]


async def test_a_message_that_is_being_written_when_its_link_ends_is_not_acted_on_twice(
    bench: Bench,
) -> None:
    link = await bench.opened()
    bench.machine.disk.hold()
    bench.command(link, "j1", deploy())
    await settle()
    link.lost.set()
    await bench.clock.advance(1)
    again = await bench.link()
    tell(again, CHALLENGE)
    await settle()
    assert said(again)[0]["last_seq_seen"] == 0
    tell(again, Welcome("session", "peer", 0), CommandMessage(1, "j1", deploy()))
    await settle()
    bench.machine.disk.release()
    await settle()
    assert bench.handler.started == [deploy()]
    assert told(again) == [(1, "ACCEPT", "j1"), (2, "succeeded", "j1")]


async def test_a_link_on_which_nothing_is_heard_is_given_up(bench: Bench) -> None:
    link = await bench.opened()
    link.silence_s = SILENCE_S - 1
    await bench.clock.advance(1)
    assert not link.lost.is_set()
    link.silence_s = SILENCE_S
    await bench.clock.advance(15)
    assert link.ending is Ending.GOING_AWAY
    assert link.close_reason == "nothing was heard for 40 s"
    await bench.clock.advance(1)
    await bench.link()


async def test_a_silent_peer_is_noticed_within_45_seconds_even_if_there_is_nothing_to_say(
    bench: Bench,
) -> None:
    link = await bench.opened()
    for _ in range(45):
        await bench.clock.advance(1)
        link.silence_s += 1
    assert link.lost.is_set()


async def test_heartbeats_are_said_as_often_as_the_peer_asks_and_tell_how_the_agent_is(
    bench: Bench,
) -> None:
    link = await bench.opened(heartbeat_s=5.0)
    await bench.clock.advance(16)
    beats = said(link)
    assert [beat["type"] for beat in beats] == ["HEARTBEAT"] * 3
    assert beats[0]["ack"] == 0
    assert beats[0]["facts"]["engine_reachable"] is True
    assert beats[0]["facts"]["open_jobs"] == 0


async def test_a_peer_that_acknowledges_nothing_is_left(bench: Bench) -> None:
    link = await bench.opened()
    bench.command(link, "j1", deploy())
    await bench.clock.advance(UNACKNOWLEDGED_S - 1)
    assert not link.lost.is_set()
    tell(link, Heartbeat())
    await bench.clock.advance(2)
    assert link.ending is Ending.TOO_SLOW
    again = await bench.reopened(link)
    assert told(again) == [(1, "ACCEPT", "j1"), (2, "succeeded", "j1")]


async def test_a_peer_that_reads_nothing_is_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SEND_S == 60
    monkeypatch.setattr(sequenced_link, "SEND_S", 10.0)
    link = await bench.opened()
    link.takes.clear()
    bench.command(link, "j1", deploy())
    await bench.clock.advance(9)
    assert not link.lost.is_set()
    await bench.clock.advance(1)
    assert link.ending is Ending.TOO_SLOW
    assert link.close_reason == "nothing was read for 10 s"
    assert bench.handler.ended == [deploy()]


async def test_what_was_acknowledged_is_not_waited_for(bench: Bench) -> None:
    link = await bench.opened()
    bench.command(link, "j1", deploy())
    await settle()
    tell(link, Acknowledge(2))
    await bench.clock.advance(2 * UNACKNOWLEDGED_S)
    assert not link.lost.is_set()
    assert PeerConfirmed(2) in bench.machine.disk.records


async def test_an_acknowledgement_of_what_was_never_sent_is_a_violation(bench: Bench) -> None:
    link = await bench.opened()
    tell(link, Acknowledge(1))
    await settle()
    assert link.ending is Ending.VIOLATION


async def test_a_peer_that_says_goodbye_is_dialled_again(bench: Bench) -> None:
    link = await bench.opened()
    tell(link, Bye("maintenance"))
    await settle()
    assert not link.lost.is_set()  # What it is closed with may say more.
    await bench.clock.advance(BYE_S)
    assert (link.ending, link.close_reason) == (
        Ending.GOING_AWAY,
        "the control plane said: maintenance",
    )
    await bench.clock.advance(1)
    await bench.opened()


async def test_a_goodbye_that_is_followed_by_a_no_is_a_no(bench: Bench) -> None:
    link = await bench.opened()
    tell(link, Bye("revoked"), Heartbeat())
    link.end = TransportRefused("closed with 4403", advice="ask")
    link.lost.set()
    await bench.clock.advance(REFUSED_DELAY_S - 1)
    assert bench.transport.attempts == 1
    await bench.clock.advance(1)
    assert bench.transport.attempts == 2


# Going to another link.


async def test_asked_to_go_it_serves_on_until_its_moment_has_come_and_then_connects_at_once(
    bench: Bench,
) -> None:
    link = await bench.opened()
    tell(link, GoAway(30.0, "rebalancing"))
    await bench.clock.advance(29)
    bench.command(link, "j1", deploy())
    await settle()
    assert len(told(link)) == 2
    assert bench.transport.attempts == 1
    await bench.clock.advance(1)
    assert link.ending is Ending.GOING_AWAY
    assert bench.transport.attempts == 2


async def test_a_link_that_ends_before_the_moment_has_come_is_not_replaced_before_it(
    bench: Bench,
) -> None:
    link = await bench.opened()
    tell(link, GoAway(30.0, "rebalancing"))
    await bench.clock.advance(10)
    link.lost.set()
    await bench.clock.advance(19)
    assert bench.transport.attempts == 1
    await bench.clock.advance(1)
    assert bench.transport.attempts == 2


async def test_a_link_that_was_left_starts_the_series_of_delays_again(bench: Bench) -> None:
    for delay in (1, 2, 4):
        link = await bench.opened()
        link.lost.set()
        await bench.clock.advance(delay)
    link = await bench.opened()
    tell(link, GoAway(0.0))
    await bench.clock.advance(0)
    link = await bench.opened()
    link.lost.set()
    await bench.clock.advance(1)
    await bench.opened()


# Epochs.


async def test_a_peer_that_lost_its_memory_is_told_all_results_again_and_nothing_runs_twice(
    bench: Bench,
) -> None:
    link = await bench.opened("first")
    bench.command(link, "j1", deploy())
    bench.command(link, "j2", stop())
    await settle()
    tell(link, Acknowledge(4))
    await settle()
    again = await bench.reopened(link, "second")
    assert told(again) == [(1, "succeeded", "j1"), (2, "succeeded", "j2")]
    bench.seq = 0
    bench.command(again, "j1", deploy())
    await settle()
    assert (3, "ACCEPT", "j1") in told(again)
    assert bench.handler.started == [deploy(), stop()]
    assert bench.ledger.peer_epoch == "second"


async def test_a_peer_that_lost_its_memory_is_told_of_generations_that_are_being_written_down(
    bench: Bench,
) -> None:
    link = await bench.opened("first")
    bench.machine.disk.hold()
    bench.command(link, "j1", deploy("Blog"), generation=4)
    bench.command(link, "j2", stop("Blog"), generation=5)
    await settle()
    link.lost.set()
    await bench.clock.advance(1)
    again = await bench.link()
    tell(again, CHALLENGE)
    await settle()
    (hello,) = said(again)
    tell(again, Welcome("session", "second", 0))
    bench.machine.disk.release()
    await settle()
    # The next peer gives the next one: it would be refused as stale now that these are written down.
    assert hello["generations"] == {"blog": 5}
    tell(again, CommandMessage(1, "j3", deploy("Blog"), 6))
    await settle()
    assert (bench.ledger.generations, "j3" in bench.ledger.jobs) == ({"blog": 6}, True)
    assert not bench.parts.admission.arriving_generations()


async def test_a_peer_that_remembers_more_than_there_was_begins_a_new_epoch(bench: Bench) -> None:
    link = await bench.opened()
    bench.command(link, "j1", deploy())
    await settle()
    before = bench.ledger.epoch
    again = await bench.reopened(link, has=99)
    assert again.lost.is_set()
    assert bench.ledger.epoch != before
    assert isinstance(bench.machine.disk.records[-1], EpochBegun)
    await bench.clock.advance(2)
    third = await bench.link()
    tell(third, CHALLENGE)
    await settle()
    (hello,) = said(third)
    assert (hello["epoch"], hello["peer_epoch"], hello["last_seq_seen"]) == (
        bench.ledger.epoch,
        "",
        0,
    )
    tell(third, Welcome("session", "peer", 0))
    await settle()
    assert told(third) == [(1, "succeeded", "j1")]
    assert bench.handler.started == [deploy()]


async def test_an_agent_whose_journal_was_damaged_comes_with_a_new_epoch(bench: Bench) -> None:
    link = await bench.opened()
    bench.command(link, "j1", deploy())
    await settle()
    machine = FakeMachine()
    for _ in range(100):  # Random texts, which the other host has not given.
        machine.token()
    machine.disk.records = list(bench.machine.disk.records)
    machine.disk.damage = "a record could not be read"
    async with Bench(machine).running() as next_one:
        again = await next_one.opened()
        assert told(again) == [(1, "succeeded", "j1")]
        assert next_one.ledger.epoch != bench.ledger.epoch


# Both versions.


async def test_a_result_that_v2_did_not_confirm_is_told_over_v1_and_the_other_way_round(
    bench: Bench,
) -> None:
    link = await bench.opened()
    bench.command(link, "j1", deploy())
    await settle()
    plain = InMemoryLink()
    bench.transport.connect = _gives(plain)  # type: ignore[method-assign]
    link.lost.set()
    await bench.clock.advance(1)
    responses = [json.loads(plain.to_control_plane.get_nowait())]
    assert (responses[0]["job_id"], responses[0]["status"]) == ("j1", "COMPLETED")
    assert bench.ledger.peer_epoch == ""
    plain.confirms.clear()
    plain.to_agent.put_nowait(frame("j2", "STOP_COMPOSE", project_name="blog"))
    await settle()
    del bench.transport.connect
    plain.lost.set()
    await bench.clock.advance(2)
    again = await bench.opened()
    assert [(state, job_id) for _, state, job_id in told(again)] in (
        [("succeeded", "j2")],
        [("succeeded", "j1"), ("succeeded", "j2")],
    )


def _gives(link: InMemoryLink) -> Any:
    async def connect() -> InMemoryLink:
        return link

    return connect


# The agent's end.


async def test_an_agent_that_stops_says_so_last_and_leaves_jobs_alone() -> None:
    bench = Bench()
    running = asyncio.create_task(bench.parts.agent.run())
    link = await bench.opened()
    bench.handler.gate.clear()
    bench.command(link, "j1", deploy())
    bench.command(link, "j2", stop())
    await settle()
    said(link)
    bench.parts.agent.request_stop()
    await running
    assert said(link) == [{"type": "BYE", "reason": "the agent is stopping"}]
    assert link.ending is Ending.GOING_AWAY
    assert [job.job_id for job in bench.ledger.open_jobs()] == ["j1", "j2"]
    async with Bench(bench.machine).running() as next_one:
        again = await next_one.opened(has=2)
        await settle()
        assert [state for _, state, _ in told(again)] == ["succeeded", "succeeded"]


async def test_an_agent_that_stops_does_not_wait_for_a_peer_that_reads_nothing() -> None:
    bench = Bench()
    running = asyncio.create_task(bench.parts.agent.run())
    link = await bench.opened()
    link.takes.clear()
    bench.command(link, "j1", deploy())
    await settle()
    bench.parts.agent.request_stop()
    await bench.clock.advance(10)
    assert running.done()
    await running


async def test_a_journal_that_fails_ends_the_agent() -> None:
    bench = Bench()
    running = asyncio.create_task(bench.parts.agent.run())
    link = await bench.opened()
    bench.machine.disk.fails = True
    bench.command(link, "j1", deploy())
    with pytest.raises(ExceptionGroup) as raised:
        await running
    assert raised.group_contains(JournalFailed)
    assert told(link) == []
    assert link.lost.is_set()


# Much at once.


async def test_a_flood_is_answered_by_a_peer_that_acknowledges_as_it_reads(bench: Bench) -> None:
    link = await bench.opened()
    found: list[tuple[int, str, str]] = []
    for number in range(200):
        bench.command(link, f"j{number}", status(f"p{number % 20}"))
    for _ in range(200):
        await settle()
        new = told(link)
        found += new
        if new:
            tell(link, Acknowledge(new[-1][0]))
        if len(found) == 400:
            break
    assert sorted(seq for seq, _, _ in found) == list(range(1, 401))
    assert sum(state == JobState.SUCCEEDED for _, state, _ in found) == 200


async def test_answers_that_wait_for_confirmation_do_not_keep_it_from_being_heard(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequenced_link, "MAX_NOTICES", 10)
    link = await bench.opened()
    for number in range(40):
        bench.command(link, f"j{number}", status(f"p{number}"))
    await bench.clock.advance(1)
    assert bench.ledger.heard < 40
    found: list[tuple[int, str, str]] = []
    for _ in range(100):
        new = told(link)
        found += new
        if new:
            tell(link, Acknowledge(new[-1][0]))
        await settle()
        if len(found) == 80:
            break
    assert len(found) == 80
    assert not link.lost.is_set()


async def test_what_is_held_back_when_a_link_ends_is_taken_in_from_the_next_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequenced_link, "MAX_NOTICES", 10)
    link = await bench.opened()
    for number in range(1, 41):
        bench.command(link, f"j{number}", status(f"p{number}"))
    await bench.clock.advance(1)
    heard = bench.ledger.heard
    assert heard < 40
    again = await bench.reopened(link, has=bench.ledger.next_seq - 1)
    for number in range(heard + 1, 41):
        tell(again, CommandMessage(number, f"j{number}", status(f"p{number}")))
    for _ in range(100):
        new = told(again)
        if new:
            tell(again, Acknowledge(new[-1][0]))
        await settle()
        if len(bench.handler.ended) == 40:
            break
    assert bench.ledger.heard == 40
    assert len(bench.handler.ended) == 40
    assert bench.parts.admission.arriving == set()


async def test_a_compose_file_is_in_nothing_that_is_said(deploying: DeployingBench) -> None:
    link = await deploying.opened()
    deploying.command(link, "j1", deploy("blog", compose_content("hunter2")))
    await deploying.clock.advance(2)
    hello_and_more = json.dumps([m for m in said(link) if m["type"] != "RESPONSE"])
    assert "hunter2" not in hello_and_more


async def test_it_is_connected_once_it_is_welcome(bench: Bench) -> None:
    link = await bench.link()
    tell(link, CHALLENGE)
    await settle()
    assert bench.parts.manager.statuses[-1].standing is Standing.CONNECTING
    tell(link, Welcome("session", "peer", 0))
    await settle()
    status = bench.parts.manager.statuses[-1]
    assert status.standing is Standing.CONNECTED
    assert status.detail.endswith("over protocol v2")
    await bench.reopened(link)
    assert [one.standing for one in bench.parts.manager.statuses[-4:]] == [
        Standing.CONNECTED, Standing.LOST, Standing.CONNECTING, Standing.CONNECTED,
    ]  # fmt: skip
