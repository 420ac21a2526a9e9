"""What a control plane must not do is noticed by simulated agents, here of a server that does it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.fleet.fleet import Fleet
from tests.fleet.identity import HostKey
from tests.fleet.memory import Memory
from tests.fleet.pace import Pace
from tests.fleet.plane_frames import Message
from tests.fleet.scripts import GOOD_MANNERS, JobPlan, Manners, always

QUICK = Pace(first_s=30.0)
CHALLENGE: Message = {"type": "CHALLENGE", "nonce": "0123456789abcdef"}
WELCOME: Message = {"type": "WELCOME", "session": "s", "epoch": "peer", "last_seq_seen": 0}
POSITION = {"step": "apply", "attempt": 1, "offset": 11}


def command(seq: int, job_id: str = "a") -> Message:
    payload = {"project_name": "blog"}
    return {"type": "STOP_COMPOSE", "id": job_id, "payload": payload, "seq": seq}


@contextlib.asynccontextmanager
async def plane(
    *frames: Message | str | bytes, subprotocol: str = "instadeploy.v2"
) -> AsyncIterator[str]:
    """Sends these to each agent, one after another, and reads whatever comes."""

    async def attend(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for one in frames:
                await connection.send(json.dumps(one) if isinstance(one, dict) else one)
                await asyncio.sleep(0)
            async for _ in connection:
                pass

    async with serve(
        attend,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol(subprotocol)],
        compression=None,
        close_timeout=0.1,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws"


async def blamed(
    url: str,
    memory: Memory | None = None,
    plan: JobPlan | None = None,
    manners: Manners = GOOD_MANNERS,
) -> str:
    """The first thing that an agent blames the control plane for."""
    async with Fleet(url, pace=QUICK) as fleet:
        fleet.add(memory or Memory(), name="one", script=always(plan or JobPlan()), manners=manners)
        await fleet.until(lambda: fleet.blames or None, "a fault to be noticed")
        with pytest.raises(AssertionError, match="the control plane"):
            fleet.check()
        return fleet.blames[0]


OPENED = (CHALLENGE, WELCOME)


@pytest.mark.parametrize(
    ("frames", "fault"),
    [
        ((WELCOME,), "WELCOME before WELCOME"),
        ((CHALLENGE, CHALLENGE), "CHALLENGE before WELCOME"),
        ((CHALLENGE, command(1)), "STOP_COMPOSE before WELCOME"),
        ((CHALLENGE, WELCOME | {"signature": "A" * 86 + "=="}), "nobody asked"),
        ((CHALLENGE, WELCOME | {"last_seq_seen": 3}), "has seen 3 messages within an epoch"),
        ((*OPENED, WELCOME), "WELCOME does not belong here"),
        ((*OPENED, command(2)), "leaves a gap: 2 where 1 is next"),
        ((*OPENED, command(1), command(1)), "sends 1 again"),
        ((*OPENED, {"type": "ACK", "ack": 1}), "acknowledges 1 of 0 messages"),
        ((*OPENED, {"type": "HEARTBEAT", "ack": 9}), "acknowledges 9 of 0"),
        ((*OPENED, {"type": "NACK", "expected": 5}), "NACK expects 5"),
        ((*OPENED, "nonsense"), "not strict JSON"),
        ((*OPENED, command(1) | {"id": 7}), "id is not as documented"),
        ((*OPENED, b"{}"), "a binary message"),
        (
            (*OPENED, command(1), {"type": "ACK", "ack": 0, "output_seen": {"a": POSITION}}),
            "has {'step': 'apply'",
        ),
    ],
)
async def test_a_fault_is_noticed(frames: tuple[Message | str | bytes, ...], fault: str) -> None:
    async with plane(*frames) as url:
        found = await blamed(url, plan=JobPlan(output_bytes=10))

    assert found.startswith("one: ")
    assert fault in found


async def test_a_complaint_of_the_control_plane_is_kept() -> None:
    async with (
        plane(*OPENED, {"type": "ERROR", "code": "protocol", "error": "what?"}) as url,
        Fleet(url, pace=QUICK) as fleet,
    ):
        fleet.add(Memory(), name="one")
        await fleet.until(lambda: fleet.complaints or None, "the complaint")
        with pytest.raises(AssertionError, match=r"what\?"):
            fleet.check()


async def test_a_control_plane_that_has_forgotten_what_it_acknowledged_is_blamed() -> None:
    memory = Memory(peer_epoch="peer", confirmed=4, next_seq=6)
    epoch = memory.epoch

    async with plane(CHALLENGE, WELCOME | {"last_seq_seen": 3}) as url:
        assert "has seen 3 messages of 5, 4 of which" in await blamed(url, memory)
    assert memory.epoch != epoch


async def test_more_than_the_window_is_too_much() -> None:
    many = [command(n, f"job-{n}") for n in range(1, 258)]
    async with plane(*OPENED, *many) as url:
        found = await blamed(url, manners=Manners(is_silent=True))
    assert "more than its window" in found
    assert "job-257" in found


@pytest.mark.parametrize(
    "change",
    [
        lambda welcome: welcome.pop("signature", None),
        lambda welcome: welcome.update(session="another"),
        lambda welcome: welcome.update(signature="A" * 86 + "=="),
    ],
)
async def test_a_host_with_a_key_believes_no_welcome_that_is_not_signed(
    change: Callable[[dict[str, Any]], None],
) -> None:
    key, theirs = HostKey.new(), HostKey.new()
    memory = Memory(secret_key=key.secret.hex(), host_id="h", pinned_key=theirs.public_key)
    welcome = WELCOME | {"signature": theirs.sign("instadeploy.v2 welcome", "x")}
    change(welcome)

    async with plane(CHALLENGE | {"public_key": theirs.public_key}, welcome) as url:
        assert "not signed with the key that was pinned" in await blamed(url, memory)


async def test_an_enrolment_that_is_not_signed_is_none() -> None:
    key, theirs = HostKey.new(), HostKey.new()
    memory = Memory(secret_key=key.secret.hex(), enrolment_token="t")
    enrolled = {"type": "ENROLLED", "host_id": "h", "signature": theirs.sign("anything")}

    async with plane(CHALLENGE | {"public_key": theirs.public_key}, enrolled) as url:
        assert "ENROLLED is not signed" in await blamed(url, memory)
    assert memory.host_id == ""


async def test_an_agent_with_a_key_refuses_v1() -> None:
    async with (
        plane(subprotocol="instadeploy.v1") as url,
        Fleet(url, pace=QUICK) as fleet,
    ):
        memory = Memory(secret_key=HostKey.new().secret.hex(), host_id="h")
        agent = fleet.add(memory, name="one")
        await fleet.until(lambda: agent.ends or None, "the end of the link")
        assert fleet.counts["v1 refused"] == 1
