"""An agent's end of a link of protocol v2 that says what a test's script says, and nothing by itself."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.agent_frames import Message

PATIENCE_S: Final = 20.0
OFFER: Final = (Subprotocol("instadeploy.v2"), Subprotocol("instadeploy.v1"))


class ScriptedAgent:
    """One link. `seq` is the number of the last durable message that was sent."""

    def __init__(self, connection: ClientConnection, epoch: str) -> None:
        self.connection = connection
        self.epoch = epoch
        self.seq = 0
        self.welcome: Message = {}

    async def say(self, message: Message) -> None:
        await self.connection.send(json.dumps(message))

    async def send(self, message_type: str, **fields: Any) -> None:
        await self.say({"type": message_type} | fields)

    async def durable(self, message_type: str, **fields: Any) -> None:
        """Send the next durable message."""
        self.seq += 1
        await self.send(message_type, seq=self.seq, **fields)

    async def accept(self, job_id: str, **fields: Any) -> None:
        await self.durable("ACCEPT", **{"job_id": job_id, "state": "accepted"} | fields)

    async def finish(self, job_id: str, **fields: Any) -> None:
        self.seq += 1
        await self.say(final(job_id, **fields) | {"seq": self.seq})

    async def receive(self) -> Message:
        async with asyncio.timeout(PATIENCE_S):
            message = json.loads(await self.connection.recv())
        assert isinstance(message, dict)
        return message

    async def expect(self, message_type: str) -> Message:
        """The next message, which is of this type."""
        message = await self.receive()
        assert message["type"] == message_type, message
        return message

    async def acknowledged(self, ack: int) -> Message:
        """Wait for an ACK up to this number; only earlier ones may come before."""
        while True:
            message = await self.expect("ACK")
            if message["ack"] >= ack:
                assert message["ack"] == ack
                return message

    async def hello(self, **fields: Any) -> Message:
        """The opening; returns WELCOME."""
        await self.expect("CHALLENGE")
        await self.say(hello(**{"epoch": self.epoch} | fields))
        self.welcome = await self.expect("WELCOME")
        self.seq = self.welcome["last_seq_seen"]
        return self.welcome

    async def closed(self) -> int | None:
        """Wait for the end; returns the code, None where it was no close frame."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    await self.connection.recv()
        frame = self.connection.protocol.close_rcvd
        return None if frame is None else int(frame.code)


@contextlib.asynccontextmanager
async def scripted_agent(
    url: str,
    *,
    epoch: str = "agent-1",
    token: str | None = "a-token",
    offer: tuple[Subprotocol, ...] = OFFER,
) -> AsyncIterator[ScriptedAgent]:
    """A connected one, which has said nothing."""
    async with connect(
        url,
        subprotocols=offer or None,
        additional_headers={"Authorization": f"Bearer {token}"} if token else None,
        compression=None,
        ping_interval=None,
        max_size=8 << 20,
        close_timeout=0.5,
        proxy=None,
    ) as connection:
        yield ScriptedAgent(connection, epoch)


@contextlib.asynccontextmanager
async def welcomed_agent(url: str, **fields: Any) -> AsyncIterator[ScriptedAgent]:
    """A connected one that is through the opening."""
    async with scripted_agent(url) as agent:
        await agent.hello(**fields)
        yield agent


def hello(epoch: str = "agent-1", **fields: Any) -> Message:
    """What HELLO says of an agent that has nothing and knows nobody."""
    return {
        "type": "HELLO",
        "nonce": secrets.token_hex(16),
        "epoch": epoch,
        "peer_epoch": "",
        "last_seq_seen": 0,
        "version": "1.0.0",
        "architecture": "linux-amd64",
        "hostname": "host-1",
        "capabilities": [],
        "running": [],
        "generations": {},
    } | fields


def final(job_id: str, **fields: Any) -> Message:
    """What the final response of a job says that succeeded and printed nothing."""
    return {
        "type": "RESPONSE",
        "job_id": job_id,
        "status": "COMPLETED",
        "state": "succeeded",
        "logs": "done",
        "final": True,
        "output": [],
    } | fields


def chunk(
    job_id: str, data: bytes, offset: int = 0, *, step: str = "apply", attempt: int = 1
) -> Message:
    """A piece of output."""
    message: Message = {"type": "RESPONSE", "job_id": job_id, "status": "IN_PROGRESS"}
    message |= {"step": step, "attempt": attempt, "offset": offset, "length": len(data)}
    try:
        return message | {"logs": data.decode()}
    except UnicodeDecodeError:
        encoded = base64.b64encode(data).decode()
        return message | {"logs": "", "output_base64": encoded}
